//! The read-only tree: elements, their attributes and their text.

use error::{Code, Domain, Error, Result};

use crate::syntax;

/// A parsed document.
#[derive(Debug)]
pub struct Document<'a>(roxmltree::Document<'a>);

impl<'a> Document<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let options = roxmltree::ParsingOptions { allow_dtd: false, ..Default::default() };
        roxmltree::Document::parse_with_options(text, options).map(Document).map_err(|e| {
            let (reason, at) = syntax::diagnose(text).unwrap_or_else(|| {
                let detail = e.to_string();
                (detail.split(" at ").next().unwrap_or(&detail).to_owned(), offset(text, e.pos()))
            });
            Error::new(Domain::Domain, Code::XmlDetail, syntax::message(text, &reason, at))
        })
    }

    /// The root element.
    pub fn root(&self) -> Node<'_> {
        Node(self.0.root_element())
    }
}

/// Byte offset of a row and column, both counted from 1 in characters.
fn offset(text: &str, position: roxmltree::TextPos) -> usize {
    let row = position.row.saturating_sub(1) as usize;
    let start: usize = text.split_inclusive('\n').take(row).map(str::len).sum();
    let line = &text[start.min(text.len())..];
    let column = position.col.saturating_sub(1) as usize;
    start + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

/// An element. Names are local names; children are looked up without a namespace, as libvirt's XPath expressions do.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a>(pub(crate) roxmltree::Node<'a, 'a>);

impl<'a> Node<'a> {
    /// Local name.
    pub fn name(&self) -> &'a str {
        self.0.tag_name().name()
    }

    /// Namespace of the element's name.
    pub fn namespace(&self) -> Option<&'a str> {
        self.0.tag_name().namespace()
    }

    /// Whether this is element `name` without a namespace.
    pub fn is(&self, name: &str) -> bool {
        self.name() == name && self.namespace().is_none()
    }

    /// Value of an attribute without a namespace.
    pub fn attr(&self, name: &str) -> Option<&'a str> {
        self.0.attributes().find(|a| a.name() == name && a.namespace().is_none()).map(|a| a.value())
    }

    /// The attribute as an owned string.
    pub fn string(&self, name: &str) -> Option<String> {
        self.attr(name).map(str::to_owned)
    }

    /// The attribute as an owned string; an empty one counts as absent.
    pub fn non_empty(&self, name: &str) -> Option<String> {
        self.attr(name).filter(|v| !v.is_empty()).map(str::to_owned)
    }

    /// All child elements.
    pub fn elements(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.0.children().filter(|n| n.is_element()).map(Node)
    }

    /// First child element `name`.
    pub fn child(&self, name: &str) -> Option<Node<'a>> {
        self.elements().find(|n| n.is(name))
    }

    /// All child elements `name`.
    pub fn children<'n>(&self, name: &'n str) -> impl Iterator<Item = Node<'a>> + use<'a, 'n> {
        self.elements().filter(move |n| n.is(name))
    }

    /// First child element `name` of namespace `uri`.
    pub fn child_ns(&self, uri: &str, name: &str) -> Option<Node<'a>> {
        self.elements().find(|n| n.name() == name && n.namespace() == Some(uri))
    }

    /// The element at the end of a path of child names.
    pub fn path(&self, names: &[&str]) -> Option<Node<'a>> {
        names.iter().try_fold(*self, |node, name| node.child(name))
    }

    /// All text below the element, concatenated.
    pub fn text(&self) -> String {
        self.0.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect()
    }

    /// Text of the first child `name`; an empty one counts as absent.
    pub fn child_text(&self, name: &str) -> Option<String> {
        self.child(name).map(|n| n.text()).filter(|t| !t.is_empty())
    }

    /// Names and values of all attributes without a namespace.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.0.attributes().filter(|a| a.namespace().is_none()).map(|a| (a.name(), a.value()))
    }

    /// The element's own text in the source.
    pub fn source(&self) -> &'a str {
        &self.0.document().input_text()[self.0.range()]
    }
}

//! A foreign element kept as it came and printed in libxml2's form (double quotes, two spaces).

use crate::Node;

/// Something inside an element.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A child element.
    Element(Element),
    /// Text, unescaped.
    Text(String),
    /// A comment's text.
    Comment(String),
}

/// An element of somebody else's namespace, such as a child of `<metadata>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Name with its prefix.
    pub name: String,
    /// Namespace of the name.
    pub namespace: Option<String>,
    /// Namespace declarations (`xmlns...`) first, then attributes, unescaped.
    pub attributes: Vec<(String, String)>,
    /// Children in order.
    pub children: Vec<Content>,
}

impl Element {
    /// Copies `node`. A namespace that an ancestor declared is declared on the copy.
    pub fn from_node(node: Node<'_>) -> Self {
        let mut element = Self::copy(node.0);
        let prefix = element.name.split_once(':').map(|(p, _)| p.to_owned());
        let declaration = prefix.map_or("xmlns".to_owned(), |p| format!("xmlns:{p}"));
        if let Some(uri) = &element.namespace
            && !element.attributes.iter().any(|(n, _)| *n == declaration)
        {
            element.attributes.insert(0, (declaration, uri.clone()));
        }
        element
    }

    fn copy(node: roxmltree::Node<'_, '_>) -> Self {
        let source = &node.document().input_text()[node.range()];
        let name =
            source[1..].split(|c: char| c.is_whitespace() || c == '>' || c == '/').next().unwrap_or("").to_owned();
        let inherited: Vec<_> =
            node.parent().map(|p| p.namespaces().map(|n| (n.name(), n.uri())).collect()).unwrap_or_default();
        let declared = node.namespaces().filter(|n| !inherited.contains(&(n.name(), n.uri())));
        let mut attributes: Vec<(String, String)> = declared
            .map(|n| (n.name().map_or("xmlns".to_owned(), |p| format!("xmlns:{p}")), n.uri().to_owned()))
            .collect();
        for a in node.attributes() {
            let prefix = a.namespace().and_then(|uri| node.lookup_prefix(uri)).filter(|p| !p.is_empty());
            attributes
                .push((prefix.map_or(a.name().to_owned(), |p| format!("{p}:{}", a.name())), a.value().to_owned()));
        }
        // white space between elements is layout, as the parser option NOBLANKS of libxml2 has it
        let mixed = node.children().any(|n| n.is_text() && n.text().is_some_and(|t| !t.trim().is_empty()));
        let leaf = !node.children().any(|n| n.is_element() || n.is_comment());
        let children = node.children().filter_map(|n| match n.node_type() {
            roxmltree::NodeType::Element => Some(Content::Element(Self::copy(n))),
            roxmltree::NodeType::Text if mixed || leaf => n.text().map(|t| Content::Text(t.to_owned())),
            roxmltree::NodeType::Comment => n.text().map(|t| Content::Comment(t.to_owned())),
            _ => None,
        });
        Self {
            name,
            namespace: node.tag_name().namespace().map(str::to_owned),
            attributes,
            children: children.collect(),
        }
    }

    /// Prints the element; its first line carries no indentation, later ones are indented from `depth`.
    pub fn format(&self, depth: usize) -> String {
        let mut text = String::new();
        self.write(&mut text, depth, true);
        text
    }

    fn write(&self, out: &mut String, depth: usize, pretty: bool) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push_str(&format!(" {name}=\""));
            escape(out, value, true);
            out.push('"');
        }
        if self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        let pretty = pretty && !self.children.iter().any(|c| matches!(c, Content::Text(_)));
        for child in &self.children {
            if pretty {
                line(out, depth + 1);
            }
            match child {
                Content::Element(e) => e.write(out, depth + 1, pretty),
                Content::Text(t) => escape(out, t, false),
                Content::Comment(c) => out.push_str(&format!("<!--{c}-->")),
            }
        }
        if pretty {
            line(out, depth);
        }
        out.push_str(&format!("</{}>", self.name));
    }
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

/// libxml2's escaping of text and of attribute values.
fn escape(out: &mut String, text: &str, attribute: bool) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\r' => out.push_str("&#13;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            c => out.push(c),
        }
    }
}

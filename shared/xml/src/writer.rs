//! Prints XML exactly as libvirt: two spaces a level, single quotes, `/>` for what is empty.

use std::fmt::{Display, Write};

/// A growing document. Start tags stay open until content comes, so an element without any closes itself.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
    depth: usize,
    /// The innermost start tag still takes attributes.
    open: bool,
}

struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        for c in s.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '\'' => self.0.push_str("&apos;"),
                '"' => self.0.push_str("&quot;"),
                // XML 1.0 has no form for these: libvirt drops them
                c if c < ' ' && !matches!(c, '\t' | '\n' | '\r') => {}
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

impl Writer {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty document whose elements start at nesting `depth`.
    pub fn at_depth(depth: usize) -> Self {
        Self { depth, ..Self::default() }
    }

    /// The text so far.
    pub fn finish(self) -> String {
        self.text
    }

    /// Current nesting.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Closes the start tag, so that the element has an end tag even without content.
    pub fn begin_content(&mut self) {
        if self.open {
            self.text.push_str(">\n");
            self.open = false;
        }
    }

    fn indent(&mut self) {
        self.begin_content();
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
    }

    /// Ends the start tag now, so that the element gets an end tag of its own even when nothing follows.
    pub fn content(&mut self) {
        self.begin_content();
    }

    /// Writes element `name` with what `body` adds to it, even when that is nothing.
    pub fn element(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.write_element(name, body);
    }

    /// Like [`element`](Self::element) but leaves no trace when `body` adds nothing.
    pub fn element_if_any(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        let (mark, was_open) = (self.text.len(), self.open);
        let bare = self.write_element(name, body);
        if bare {
            self.text.truncate(mark);
            self.open = was_open;
        }
    }

    /// Like [`element`](Self::element), but start and end tag stand apart even when there is no content.
    /// libvirt prints a few elements so, such as a pool's `<source>`.
    pub fn element_split(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.write_element(name, |w| {
            body(w);
            w.begin_content();
        });
    }

    /// Returns whether the element has neither attribute nor content.
    fn write_element(&mut self, name: &str, body: impl FnOnce(&mut Self)) -> bool {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        let after_name = self.text.len();
        self.open = true;
        self.depth += 1;
        body(self);
        self.depth -= 1;
        let bare = self.text.len() == after_name;
        if self.open {
            self.text.push_str("/>\n");
            self.open = false;
        } else {
            self.indent();
            let _ = writeln!(self.text, "</{name}>");
        }
        bare
    }

    /// Adds an attribute to the element that was just begun.
    pub fn attr(&mut self, name: &str, value: impl Display) {
        debug_assert!(self.open, "attribute {name} after content");
        let _ = write!(self.text, " {name}='");
        let _ = write!(Escaped(&mut self.text), "{value}");
        self.text.push('\'');
    }

    /// Adds the attribute when there is a value.
    pub fn attr_opt(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.attr(name, value);
        }
    }

    /// Adds `yes` or `no` when known.
    pub fn yes_no(&mut self, name: &str, value: Option<bool>) {
        self.attr_opt(name, value.map(|v| if v { "yes" } else { "no" }));
    }

    /// Adds `on` or `off` when known.
    pub fn on_off(&mut self, name: &str, value: Option<bool>) {
        self.attr_opt(name, value.map(|v| if v { "on" } else { "off" }));
    }

    /// An element with attributes only.
    pub fn empty(&mut self, name: &str) {
        self.element(name, |_| {});
    }

    /// `<name>text</name>`.
    pub fn leaf(&mut self, name: &str, text: impl Display) {
        self.leaf_with(name, |_| {}, text);
    }

    /// `<name>text</name>` when there is text.
    pub fn leaf_opt(&mut self, name: &str, text: Option<impl Display>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    /// A leaf with attributes.
    pub fn leaf_with(&mut self, name: &str, attributes: impl FnOnce(&mut Self), text: impl Display) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        self.open = true;
        attributes(self);
        self.open = false;
        self.text.push('>');
        let _ = write!(Escaped(&mut self.text), "{text}");
        let _ = writeln!(self.text, "</{name}>");
    }

    /// Content that is already XML, indented by the caller; a line end is added.
    pub fn raw_line(&mut self, xml: &str) {
        self.indent();
        self.text.push_str(xml);
        self.text.push('\n');
    }
}

//! What is wrong with a document that does not parse, in libxml2's words, which libvirt passes on to its clients.
//!
//! The parser proper has refused the text already; this scan finds the first fault as libxml2 would meet it and where. It knows
//! the faults that people make; for any other the parser's own reason stands.

/// A fault and the byte offset at which libxml2 stops.
pub(crate) type Fault = (String, usize);

/// The message for a fault: `at line N: REASON`, the line, and a caret under the place.
pub(crate) fn message(text: &str, reason: &str, at: usize) -> String {
    let at = at.min(text.len());
    let line = text[..at].matches('\n').count() + 1;
    if text.is_empty() {
        return format!("at line {line}: {reason}\n(null)\n^");
    }
    // at the end of a line the caret stands behind its last character
    let at_end = at == text.len() || text.as_bytes()[at] == b'\n';
    let shown_at = if at_end { text[..at].trim_end_matches(['\n', '\r']).len() } else { at };
    let start = text[..shown_at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[shown_at..].find('\n').map_or(text.len(), |newline| shown_at + newline);
    format!("at line {line}: {reason}\n{}\n{}^", &text[start..end], "-".repeat(shown_at - start))
}

/// The first fault of `text`, if this scan knows it.
pub(crate) fn diagnose(text: &str) -> Option<Fault> {
    let mut scan = Scan { text, at: 0, open: Vec::new() };
    scan.document().err()
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Names of open elements and the lines they begin on.
    open: Vec<(&'a str, usize)>,
}

type Step<T = ()> = Result<T, Fault>;

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | ':')
}

fn is_name(c: char) -> bool {
    is_name_start(c) || c.is_numeric() || matches!(c, '-' | '.' | '\u{b7}')
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Step<T> {
        Err((reason.into(), self.at))
    }

    fn line(&self) -> usize {
        self.text[..self.at].matches('\n').count() + 1
    }

    /// Moves over blanks; whether there were any.
    fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let skipped = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.at += skipped;
        skipped > 0
    }

    fn name(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if !rest.starts_with(is_name_start) {
            return None;
        }
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        self.at += length;
        Some(&rest[..length])
    }

    fn document(&mut self) -> Step {
        if self.text.is_empty() {
            return self.fail("Document is empty");
        }
        self.misc()?;
        if self.peek() != Some('<') {
            return self.fail("Start tag expected, '<' not found");
        }
        self.start_tag()?;
        while !self.open.is_empty() {
            self.content()?;
        }
        self.misc()?;
        if self.at < self.text.len() { self.fail("Extra content at the end of the document") } else { Ok(()) }
    }

    /// Blanks, comments and processing instructions around the root.
    fn misc(&mut self) -> Step {
        loop {
            let blank = self.blanks();
            if self.rest().starts_with("<!--") {
                self.comment()?;
            } else if self.rest().starts_with("<?") {
                self.instruction()?;
            } else if !blank {
                return Ok(());
            }
        }
    }

    fn comment(&mut self) -> Step {
        match self.rest().find("-->") {
            Some(end) => {
                self.at += end + 3;
                Ok(())
            }
            None => {
                self.at = self.text.len();
                self.fail("Comment not terminated")
            }
        }
    }

    fn instruction(&mut self) -> Step {
        let declares = self.rest().starts_with("<?xml") && !self.rest()[5..].starts_with(is_name);
        if declares && self.at > 0 {
            self.at += 5;
            return self.fail("XML declaration allowed only at the start of the document");
        }
        let end = self.rest().find("?>");
        self.at = end.map_or(self.text.len(), |end| self.at + end + 2);
        Ok(())
    }

    fn content(&mut self) -> Step {
        let rest = self.rest();
        if rest.is_empty() {
            let (name, line) = self.open[self.open.len() - 1];
            return self.fail(format!("Premature end of data in tag {name} line {line}"));
        }
        if rest.starts_with("</") {
            self.end_tag()
        } else if rest.starts_with("<!--") {
            self.comment()
        } else if let Some(section) = rest.strip_prefix("<![CDATA[") {
            match section.find("]]>") {
                Some(end) => self.at += 9 + end + 3,
                None => {
                    self.at = self.text.len();
                    let shown: String = section.chars().take(section.chars().count().saturating_sub(2)).collect();
                    return self.fail(format!("CData section not finished\n{shown}"));
                }
            }
            Ok(())
        } else if rest.starts_with("<?") {
            self.instruction()
        } else if rest.starts_with('<') {
            self.start_tag()
        } else if rest.starts_with('&') {
            self.reference()
        } else {
            self.characters()
        }
    }

    fn characters(&mut self) -> Step {
        let rest = self.rest();
        let length = rest.find(['<', '&']).unwrap_or(rest.len());
        let bad = rest[..length].char_indices().find(|(_, c)| *c < ' ' && !matches!(c, '\t' | '\n' | '\r'));
        if let Some((at, c)) = bad {
            self.at += at;
            return self.fail(format!("PCDATA invalid Char value {}", c as u32));
        }
        self.at += length;
        Ok(())
    }

    fn reference(&mut self) -> Step {
        self.at += 1;
        if self.peek() == Some('#') {
            let rest = self.rest();
            let Some(end) = rest.find(|c: char| !matches!(c, '#' | 'x') && !c.is_ascii_hexdigit()) else {
                return Ok(());
            };
            let digits = &rest[1..end];
            let value = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            self.at += end + usize::from(rest[end..].starts_with(';'));
            let value = value.unwrap_or(0);
            let fine = matches!(value, 9 | 10 | 13 | 0x20..=0xd7ff | 0xe000..=0xfffd | 0x1_0000..=0x10_ffff);
            return if fine { Ok(()) } else { self.fail(format!("xmlParseCharRef: invalid xmlChar value {value}")) };
        }
        let Some(name) = self.name() else { return self.fail("xmlParseEntityRef: no name") };
        if self.peek() != Some(';') {
            return self.fail("EntityRef: expecting ';'");
        }
        self.at += 1;
        match name {
            "amp" | "lt" | "gt" | "quot" | "apos" => Ok(()),
            _ => self.fail(format!("Entity '{name}' not defined")),
        }
    }

    fn start_tag(&mut self) -> Step {
        let line = self.line();
        self.at += 1;
        let Some(name) = self.name() else { return self.fail("StartTag: invalid element name") };
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let blank = self.blanks();
            match self.peek() {
                Some('>') => {
                    self.at += 1;
                    self.open.push((name, line));
                    return Ok(());
                }
                Some('/') if self.rest().starts_with("/>") => {
                    self.at += 2;
                    return Ok(());
                }
                None | Some('/') => return self.fail(format!("Couldn't find end of Start Tag {name} line {line}")),
                Some(_) if !blank => {
                    // right behind the element's name nothing but a blank makes sense
                    let reason = "attributes construct error";
                    return if seen.is_empty() { self.fail("error parsing attribute name") } else { self.fail(reason) };
                }
                Some(_) => {}
            }
            let Some(attribute) = self.name() else { return self.fail("error parsing attribute name") };
            self.value(attribute)?;
            if seen.contains(&attribute) {
                return self.fail(format!("Attribute {attribute} redefined"));
            }
            seen.push(attribute);
        }
    }

    fn value(&mut self, attribute: &str) -> Step {
        self.blanks();
        if self.peek() != Some('=') {
            return self.fail(format!("Specification mandates value for attribute {attribute}"));
        }
        self.at += 1;
        self.blanks();
        let quote = match self.peek() {
            Some(quote @ ('"' | '\'')) => quote,
            _ => return self.fail("AttValue: \" or ' expected"),
        };
        self.at += 1;
        loop {
            let rest = self.rest();
            let stop = rest.find([quote, '<', '&']);
            self.at = stop.map_or(self.text.len(), |stop| self.at + stop);
            match self.peek() {
                None => return self.fail(format!("AttValue: {quote} expected")),
                Some('<') => return self.fail("Unescaped '<' not allowed in attributes values"),
                Some('&') => self.reference()?,
                Some(_) => {
                    self.at += 1;
                    return Ok(());
                }
            }
        }
    }

    fn end_tag(&mut self) -> Step {
        self.at += 2;
        let name = self.name().unwrap_or("");
        self.blanks();
        if self.peek() != Some('>') {
            return self.fail("expected '>'");
        }
        self.at += 1;
        match self.open.pop() {
            Some((open, line)) if open != name => {
                self.fail(format!("Opening and ending tag mismatch: {open} line {line} and {name}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        diagnose(text).map_or("fine".to_owned(), |(reason, at)| message(text, &reason, at))
    }

    #[test]
    fn faults_are_told_as_libxml2_does() {
        let cases = [
            ("", "at line 1: Document is empty\n(null)\n^"),
            ("   \n", "at line 2: Start tag expected, '<' not found\n   \n---^"),
            ("  hello\n", "at line 1: Start tag expected, '<' not found\n  hello\n--^"),
            (
                "<?xml version='1.0'?>\n",
                "at line 2: Start tag expected, '<' not found\n<?xml version='1.0'?>\n---------------------^",
            ),
            (
                "\n<?xml version='1.0'?><p/>",
                "at line 2: XML declaration allowed only at the start of the document\n<?xml version='1.0'?><p/>\n-----^",
            ),
            ("<pool\n", "at line 2: Couldn't find end of Start Tag pool line 1\n<pool\n-----^"),
            ("<pool", "at line 1: Couldn't find end of Start Tag pool line 1\n<pool\n-----^"),
            ("<p t=\"d\"\n  <name>", "at line 2: error parsing attribute name\n  <name>\n--^"),
            ("<p a='1'b='2'/>", "at line 1: attributes construct error\n<p a='1'b='2'/>\n--------^"),
            ("<p><a b></a></p>", "at line 1: Specification mandates value for attribute b\n<p><a b></a></p>\n-------^"),
            ("<p a=1/>", "at line 1: AttValue: \" or ' expected\n<p a=1/>\n-----^"),
            ("<p a='x\n", "at line 2: AttValue: ' expected\n<p a='x\n-------^"),
            ("<p a='<'/>\n", "at line 1: Unescaped '<' not allowed in attributes values\n<p a='<'/>\n------^"),
            ("<p a=\"d\" a=\"x\">", "at line 1: Attribute a redefined\n<p a=\"d\" a=\"x\">\n--------------^"),
            ("<p>a & b</p>\n", "at line 1: xmlParseEntityRef: no name\n<p>a & b</p>\n------^"),
            ("<p>\n &foo;</p>", "at line 2: Entity 'foo' not defined\n &foo;</p>\n------^"),
            ("<p>&#0;</p>", "at line 1: xmlParseCharRef: invalid xmlChar value 0\n<p>&#0;</p>\n-------^"),
            ("<p>\u{1}</p>\n", "at line 1: PCDATA invalid Char value 1\n<p>\u{1}</p>\n---^"),
            ("<p>\n <!-- x\n", "at line 3: Comment not terminated\n <!-- x\n-------^"),
            ("<p><name>bad", "at line 1: Premature end of data in tag name line 1\n<p><name>bad\n------------^"),
            ("<p>\n  <t>\n", "at line 3: Premature end of data in tag t line 2\n  <t>\n-----^"),
            ("<p>\n\n\n", "at line 4: Premature end of data in tag p line 1\n<p>\n---^"),
            ("<p></q>", "at line 1: Opening and ending tag mismatch: p line 1 and q\n<p></q>\n-------^"),
            ("<p></p", "at line 1: expected '>'\n<p></p\n------^"),
            ("<p/><p/>\n", "at line 1: Extra content at the end of the document\n<p/><p/>\n----^"),
            ("<1p/>\n", "at line 1: StartTag: invalid element name\n<1p/>\n-^"),
            ("<p a='b'>x &amp; &#65;<b/><!-- c --><![CDATA[<]]></p>\n", "fine"),
        ];
        for (text, wanted) in cases {
            assert_eq!(shown(text), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(<[a-z é]{0,3}( a='.{0,2}')?/?>|&[#a-z]{0,3};?|</[a-z]>|.|\n|<!--|<\\?){0,12}") {
            if let Some((reason, at)) = diagnose(&text) {
                message(&text, &reason, at);
            }
        }
    }
}

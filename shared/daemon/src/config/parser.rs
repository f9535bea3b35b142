//! The parser of configuration files: text in, entries out, or the line and what was expected there.

use super::Value;

/// Deepest nesting of lists; libvirt's own files use one level.
const DEPTH_MAX: usize = 8;

type Failure = (usize, &'static str);

pub(super) fn parse(text: &str) -> Result<Vec<(String, Value)>, Failure> {
    let mut cursor = Cursor { rest: text, line: 1 };
    let mut entries = Vec::new();
    loop {
        cursor.skip_to_statement();
        if cursor.rest.is_empty() {
            return Ok(entries);
        }
        let name = cursor.name()?;
        cursor.skip_blanks();
        if !cursor.eat("=") {
            return Err((cursor.line, "expecting an assignment"));
        }
        cursor.skip_blanks();
        let value = cursor.value(0)?;
        cursor.skip_blanks();
        if cursor.rest.starts_with('#') {
            cursor.skip_comment();
        }
        match cursor.peek() {
            None | Some('\n' | '\r' | ';') => {}
            Some(_) => return Err((cursor.line, "expecting a separator")),
        }
        entries.push((name, value));
    }
}

struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn advance(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.starts_with(token);
        if found {
            self.advance(token.len());
        }
        found
    }

    fn skip_while(&mut self, which: impl Fn(char) -> bool) {
        let end = self.rest.find(|c| !which(c)).unwrap_or(self.rest.len());
        self.advance(end);
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|c| c == ' ' || c == '\t');
    }

    fn skip_comment(&mut self) {
        self.skip_while(|c| c != '\n');
    }

    /// Over blanks, line ends, comments and `;`.
    fn skip_to_statement(&mut self) {
        loop {
            self.skip_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | ';'));
            if !self.rest.starts_with('#') {
                return;
            }
            self.skip_comment();
        }
    }

    /// Over blanks, line ends and comments, as they may stand in a list.
    fn skip_in_list(&mut self) {
        loop {
            self.skip_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if !self.rest.starts_with('#') {
                return;
            }
            self.skip_comment();
        }
    }

    fn name(&mut self) -> Result<String, Failure> {
        if !self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err((self.line, "expecting a name"));
        }
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let name = self.rest[..end].to_owned();
        self.advance(end);
        Ok(name)
    }

    fn value(&mut self, depth: usize) -> Result<Value, Failure> {
        match self.peek() {
            Some('"' | '\'') => self.string().map(Value::String),
            Some('[') if depth < DEPTH_MAX => self.list(depth),
            Some('[') => Err((self.line, "lists are nested too deep")),
            Some(c) if c == '-' || c.is_ascii_digit() => self.number().map(Value::Number),
            _ => Err((self.line, "expecting a value")),
        }
    }

    fn string(&mut self) -> Result<String, Failure> {
        let line = self.line;
        let (quote, spans_lines) = if self.rest.starts_with("\"\"\"") {
            ("\"\"\"", true)
        } else if self.rest.starts_with('"') {
            ("\"", false)
        } else {
            ("'", false)
        };
        self.advance(quote.len());
        let end = self.rest.find(quote).ok_or((line, "unterminated string"))?;
        let text = self.rest[..end].to_owned();
        if !spans_lines && text.contains('\n') {
            return Err((line, "unterminated string"));
        }
        self.advance(end + quote.len());
        Ok(text)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Failure> {
        self.advance(1);
        let mut items = Vec::new();
        loop {
            self.skip_in_list();
            if self.eat("]") {
                return Ok(Value::List(items));
            }
            if !items.is_empty() {
                if !self.eat(",") {
                    let reason = if self.rest.is_empty() {
                        "list is not closed with ]"
                    } else {
                        "expecting a separator in list"
                    };
                    return Err((self.line, reason));
                }
                self.skip_in_list();
                if self.eat("]") {
                    return Ok(Value::List(items));
                }
            }
            if self.rest.is_empty() {
                return Err((self.line, "list is not closed with ]"));
            }
            items.push(self.value(depth + 1)?);
        }
    }

    fn number(&mut self) -> Result<i128, Failure> {
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let count = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let length = self.rest.len() - digits.len() + count;
        let number: i128 = self.rest[..length].parse().map_err(|_| (self.line, "invalid number"))?;
        if number > i128::from(u64::MAX) || number < i128::from(i64::MIN) {
            return Err((self.line, "numeric overflow"));
        }
        self.advance(length);
        Ok(number)
    }
}

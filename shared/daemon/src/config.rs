//! Configuration files in libvirt's syntax: `key = value`, where a value is a string, a number or a list of them.
//!
//! Facts observed with libvirt 11.3.0: the first of two equal keys counts; statements may share a line with `;`;
//! strings stand between `"`, `'` or `"""` and know no escapes; a minus makes a number signed; keys that nobody asks for
//! are ignored, a wrong type is an error.

mod parser;

use std::path::Path;

/// A value of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text between quotes.
    String(String),
    /// A number; `i128` holds every 64-bit one, signed or not.
    Number(i128),
    /// Values between brackets.
    List(Vec<Value>),
}

/// What is wrong with a configuration file; texts as libvirt prints them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("Failed to open file '{path}': {}", reason(.source))]
    Open {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text breaks the syntax.
    #[error("configuration file syntax error: {file}:{line}: {reason}")]
    Syntax {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What was expected.
        reason: &'static str,
    },
    /// A key has a value of the wrong type or outside its range.
    #[error("internal error: {file}: {reason} for '{key}' parameter")]
    Value {
        /// Name of the file.
        file: String,
        /// The key.
        key: String,
        /// What was expected.
        reason: String,
    },
    /// A value of the right type that makes no sense.
    #[error("{file}: {key}: {reason}")]
    Invalid {
        /// Name of the file.
        file: String,
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// The standard library appends " (os error N)", which libvirt's texts do not have.
fn reason(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// Shorthand of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// Most bytes a configuration file may have, as in libvirt.
pub const LENGTH_MAX: u64 = 10 * 1024 * 1024;

/// A parsed configuration file.
#[derive(Clone, Debug, Default)]
pub struct File {
    name: String,
    entries: Vec<(String, Value)>,
}

impl File {
    /// Reads and parses a file.
    pub fn load(path: &Path) -> Result<File> {
        let name = path.display().to_string();
        let open = |source| Error::Open { path: name.clone(), source };
        let bytes = object::file::read_limited(path, LENGTH_MAX).map_err(open)?;
        let text = String::from_utf8(bytes).map_err(|_| open(std::io::ErrorKind::InvalidData.into()))?;
        File::parse_named(&text, &name)
    }

    /// As [`File::load`]; a missing file is an empty one.
    pub fn load_optional(path: &Path) -> Result<File> {
        match File::load(path) {
            Err(Error::Open { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(File { name: path.display().to_string(), entries: Vec::new() })
            }
            other => other,
        }
    }

    /// Parses the text of a file.
    pub fn parse(text: &str) -> Result<File> {
        File::parse_named(text, "")
    }

    /// Parses the text of a file; `name` stands in its errors.
    pub fn parse_named(text: &str, name: &str) -> Result<File> {
        let entries =
            parser::parse(text).map_err(|(line, reason)| Error::Syntax { file: name.to_owned(), line, reason })?;
        Ok(File { name: name.to_owned(), entries })
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The keys in their order, for messages about unknown ones.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// A string; `None` when the key is absent.
    pub fn string(&self, key: &str) -> Result<Option<String>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(key, "expected a string")),
        }
    }

    /// A signed 32-bit number.
    pub fn int(&self, key: &str) -> Result<Option<i32>> {
        self.number(key, "expected a signed integer", i32::MIN.into(), i32::MAX.into(), |n| n as i32)
    }

    /// An unsigned 32-bit number.
    pub fn uint(&self, key: &str) -> Result<Option<u32>> {
        self.number(key, "expected an unsigned integer", 0, u32::MAX.into(), |n| n as u32)
    }

    /// An unsigned 64-bit number.
    pub fn ulong(&self, key: &str) -> Result<Option<u64>> {
        self.number(key, "expected an unsigned integer", 0, u64::MAX.into(), |n| n as u64)
    }

    /// 0 or 1.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Number(0)) => Ok(Some(false)),
            Some(Value::Number(1)) => Ok(Some(true)),
            Some(Value::Number(_)) => Err(self.wrong(key, "value must be 0 or 1")),
            Some(_) => Err(self.wrong(key, "expected a boolean")),
        }
    }

    /// A list of strings.
    pub fn list(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let Value::List(items) = value else { return Err(self.wrong(key, "expected a string list")) };
        let strings = items.iter().map(|item| match item {
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.wrong(key, "expected a string list")),
        });
        strings.collect::<Result<_>>().map(Some)
    }

    /// A list of strings, where one string alone stands for a list of one.
    pub fn list_or_string(&self, key: &str) -> Result<Option<Vec<String>>> {
        match self.value(key) {
            Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
            _ => self.list(key),
        }
    }

    /// An error about the value of a key, for checks beyond its type.
    pub fn invalid(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::Invalid { file: self.name.clone(), key: key.to_owned(), reason: reason.into() }
    }

    fn number<T>(&self, key: &str, expected: &str, low: i128, high: i128, convert: fn(i128) -> T) -> Result<Option<T>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Number(number)) if (low..=high).contains(number) => Ok(Some(convert(*number))),
            Some(Value::Number(number)) if *number > high => {
                Err(self.wrong(key, &format!("value must be in range {low}:{high}")))
            }
            Some(_) => Err(self.wrong(key, expected)),
        }
    }

    fn wrong(&self, key: &str, reason: &str) -> Error {
        Error::Value { file: self.name.clone(), key: key.to_owned(), reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests;

//! Typed attribute values with libvirt's error texts (domain XML, code XML_ERROR).

use error::{Code, Domain, Error, Result};

use crate::{Node, Vocabulary, parse_i64, parse_u64};

/// The error for an attribute value outside its vocabulary or range; `hint` names what was expected.
pub fn invalid_value(node: Node<'_>, name: &str, value: &str, hint: &str) -> Error {
    let detail = format!("Invalid value for attribute '{name}' in element '{}': '{value}'.{hint}", node.name());
    Error::new(Domain::Xml, Code::XmlError, detail)
}

/// The error for an absent attribute that is required.
pub fn missing_attribute(node: Node<'_>, name: &str) -> Error {
    let detail = format!("Missing required attribute '{name}' in element '{}'", node.name());
    Error::new(Domain::Xml, Code::XmlError, detail)
}

fn zero(node: Node<'_>, name: &str) -> Error {
    let detail = format!("Invalid value for attribute '{name}' in element '{}': Zero is not permitted", node.name());
    Error::new(Domain::Xml, Code::XmlError, detail)
}

impl<'a> Node<'a> {
    /// Attribute that must be there.
    pub fn required(&self, name: &str) -> Result<&'a str> {
        self.attr(name).ok_or_else(|| missing_attribute(*self, name))
    }

    /// Unsigned number in base 10.
    pub fn u32(&self, name: &str) -> Result<Option<u32>> {
        self.u32_base(name, 10)
    }

    /// Unsigned number in `base`.
    pub fn u32_base(&self, name: &str, base: u32) -> Result<Option<u32>> {
        self.number(name, " Expected non-negative integer value", |v| {
            parse_u64(v, base).and_then(|n| n.try_into().ok())
        })
    }

    /// Unsigned number in base 10, not zero.
    pub fn u32_nonzero(&self, name: &str) -> Result<Option<u32>> {
        match self.u32(name)? {
            Some(0) => Err(zero(*self, name)),
            n => Ok(n),
        }
    }

    /// Unsigned 64-bit number in base 10.
    pub fn u64(&self, name: &str) -> Result<Option<u64>> {
        self.number(name, " Expected non-negative integer value", |v| parse_u64(v, 10))
    }

    /// Unsigned 64-bit number in base 10, not zero.
    pub fn u64_nonzero(&self, name: &str) -> Result<Option<u64>> {
        match self.u64(name)? {
            Some(0) => Err(zero(*self, name)),
            n => Ok(n),
        }
    }

    /// Signed number in base 10.
    pub fn i32(&self, name: &str) -> Result<Option<i32>> {
        self.number(name, " Expected integer value", |v| parse_i64(v, 10).and_then(|n| n.try_into().ok()))
    }

    /// Signed number in base 10 that must not be negative.
    pub fn i32_non_negative(&self, name: &str) -> Result<Option<i32>> {
        match self.i32(name)? {
            Some(n) if n < 0 => {
                Err(invalid_value(*self, name, self.attr(name).unwrap_or(""), " Expected non-negative value"))
            }
            n => Ok(n),
        }
    }

    /// Signed 64-bit number in base 10.
    pub fn i64(&self, name: &str) -> Result<Option<i64>> {
        self.number(name, " Expected long long integer value", |v| parse_i64(v, 10))
    }

    /// `yes` or `no`.
    pub fn yes_no(&self, name: &str) -> Result<Option<bool>> {
        self.number(name, "", |v| match v {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
    }

    /// `on` or `off`.
    pub fn on_off(&self, name: &str) -> Result<Option<bool>> {
        self.number(name, "", |v| match v {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        })
    }

    /// A word of the vocabulary `T`.
    pub fn word<T: Vocabulary>(&self, name: &str) -> Result<Option<T>> {
        self.number(name, "", T::from_word)
    }

    /// A word of the vocabulary `T` that must be there.
    pub fn required_word<T: Vocabulary>(&self, name: &str) -> Result<T> {
        self.required(name)?;
        self.word(name)?.ok_or_else(|| missing_attribute(*self, name))
    }

    /// UUID in any of the forms libvirt takes.
    pub fn uuid(&self, name: &str) -> Result<Option<[u8; 16]>> {
        self.number(name, " Expected UUID", parse_uuid)
    }

    fn number<T>(&self, name: &str, hint: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.attr(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| invalid_value(*self, name, value, hint))
    }
}

/// Reads a UUID: 32 hex digits; hyphens between pairs and white space around are skipped, as `virUUIDParse` does.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut uuid = [0u8; 16];
    let mut digits = 0;
    for c in text.trim().chars() {
        if c == '-' && digits % 2 == 0 {
            continue;
        }
        let value = u8::try_from(c.to_digit(16)?).ok()?;
        let byte = uuid.get_mut(digits / 2)?;
        *byte = *byte << 4 | value;
        digits += 1;
    }
    (digits == 32).then_some(uuid)
}

/// The hyphenated lower-case form.
pub fn format_uuid(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

//! The bounds of a document, checked by one linear scan before a tree is built.

use error::{Code, Domain, Error, Result};

/// Deepest nesting of elements.
pub const DEPTH_MAX: usize = 128;
/// Most attributes, namespace declarations included, on one tag.
pub const ATTRIBUTES_MAX: usize = 1024;
/// Largest document in bytes; the wire's string limit is 4 MiB.
pub const DOCUMENT_MAX: usize = 16 << 20;
/// Most namespace declarations on one tag.
const NAMESPACES_MAX: usize = 64;

fn refuse(detail: &str) -> Error {
    Error::new(Domain::Xml, Code::XmlError, detail)
}

/// Checks the limits. Malformed markup is left for the parser to report.
pub(crate) fn check(text: &str) -> Result<()> {
    if text.len() > DOCUMENT_MAX {
        return Err(refuse("document is larger than 16 MiB"));
    }
    let mut rest = text.as_bytes();
    let mut depth = 0usize;
    while let Some(start) = rest.iter().position(|b| *b == b'<') {
        rest = &rest[start..];
        rest = match rest.get(1) {
            Some(b'!') if rest.starts_with(b"<!--") => after(rest, b"-->"),
            Some(b'!') if rest.starts_with(b"<![CDATA[") => after(rest, b"]]>"),
            Some(b'!') => return Err(refuse("document type declarations are not allowed")),
            Some(b'?') => after(rest, b"?>"),
            Some(b'/') => {
                depth = depth.saturating_sub(1);
                after(rest, b">")
            }
            _ => {
                let (end, empty) = tag(rest)?;
                if !empty {
                    depth += 1;
                    if depth > DEPTH_MAX {
                        return Err(refuse("elements are nested deeper than 128 levels"));
                    }
                }
                &rest[end..]
            }
        };
    }
    Ok(())
}

fn after<'a>(rest: &'a [u8], mark: &[u8]) -> &'a [u8] {
    let found = rest.windows(mark.len()).position(|w| w == mark);
    found.map_or(&[], |at| &rest[at + mark.len()..])
}

/// Length of a start tag and whether it closes itself.
fn tag(rest: &[u8]) -> Result<(usize, bool)> {
    let (mut quote, mut attributes, mut namespaces) = (None, 0usize, 0usize);
    let mut word = 1;
    for (at, byte) in rest.iter().enumerate().skip(1) {
        match (quote, byte) {
            (Some(q), b) if q == *b => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(*byte),
            (None, b'=') => {
                attributes += 1;
                namespaces += usize::from(rest[word..at].starts_with(b"xmlns"));
                if attributes > ATTRIBUTES_MAX || namespaces > NAMESPACES_MAX {
                    return Err(refuse("too many attributes on one element"));
                }
            }
            (None, b' ' | b'\t' | b'\n' | b'\r') => word = at + 1,
            (None, b'>') => return Ok((at + 1, rest[at - 1] == b'/')),
            _ => {}
        }
    }
    Ok((rest.len(), true))
}

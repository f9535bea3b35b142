//! XML as libvirt reads and prints it: a bounded read-only tree, attribute values with libvirt's errors, and a writer.
//!
//! - [`parse`] refuses DOCTYPE, deep nesting and wide tags before the tree is built (`limit`), and reports syntax errors with libvirt's code and libxml2's words (`syntax`);
//! - [`Node`] walks the tree (`node`) and reads typed attribute values (`value`);
//! - [`text_enum!`] declares the closed vocabularies of attributes (`vocabulary`);
//! - [`Writer`] prints with two spaces, single quotes and self-closing tags (`writer`);
//! - [`Element`] keeps a foreign element, such as metadata, and prints it as libxml2 does (`element`).
//!
//! Nothing here knows a kind of object, opens a file or resolves an entity.

mod element;
mod limit;
mod node;
mod number;
mod syntax;
mod value;
mod vocabulary;
mod writer;

pub use element::{Content, Element};
pub use limit::{ATTRIBUTES_MAX, DEPTH_MAX, DOCUMENT_MAX};
pub use node::{Document, Node};
pub use number::{parse_i64, parse_u64, scale};
pub use value::{format_uuid, invalid_value, missing_attribute, parse_uuid};
pub use vocabulary::Vocabulary;
pub use writer::Writer;

/// Parses `text`.
///
/// # Errors
/// `VIR_ERR_XML_ERROR` for a document outside the limits or with a DOCTYPE, `VIR_ERR_XML_DETAIL` with line and context for a syntax
/// error, in libxml2's words and under the domain of domains (other drivers put their own).
pub fn parse<'a>(text: &'a str) -> error::Result<Document<'a>> {
    limit::check(text)?;
    Document::parse(text)
}

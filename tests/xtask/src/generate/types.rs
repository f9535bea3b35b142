//! Structs, unions, enums and limits of one program, with their codecs.

use super::name::{camel, limit, snake, type_name};
use super::table::{Table, Type, Union};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::fmt::Write;

pub fn generate(table: &Table) -> Result<String> {
    let mut out = String::new();
    if let Some(program) = &table.program {
        writeln!(out, "/// Program number.\npub const PROGRAM: u32 = {:#x};", program.number)?;
        writeln!(out, "/// Program version.\npub const VERSION: u32 = {};", program.version)?;
    }
    if !table.constants.is_empty() {
        out.push_str("\n/// Limits, in elements (bytes for strings).\npub mod limit {\n");
        for (name, value) in &table.constants {
            writeln!(out, "    /// `{name}`.\n    pub const {}: usize = {value};", limit(name))?;
        }
        out.push_str("}\n");
    }
    for (name, values) in &table.enums {
        out.push_str(&enumeration(name, values.as_object().context("enum")?)?);
    }
    for (name, value) in &table.unions {
        let union: Union = serde_json::from_value(value.clone())?;
        out.push_str(&self::union(name, &union)?);
    }
    for name in table.structs.keys() {
        out.push_str(&structure(table, name)?);
    }
    Ok(out)
}

fn enumeration(name: &str, values: &Map<String, Value>) -> Result<String> {
    let rust = type_name(name);
    let prefix = common_prefix(values.keys().map(String::as_str));
    let mut out = format!(
        "\n/// `{name}`.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]\n#[repr(i32)]\npub enum {rust} {{\n"
    );
    let mut arms = String::new();
    for (position, (constant, value)) in values.iter().enumerate() {
        let variant = camel(&constant[prefix..]);
        let default = if position == 0 { "    #[default]\n" } else { "" };
        writeln!(out, "    /// `{constant}`.\n{default}    {variant} = {value},")?;
        writeln!(arms, "            {value} => Ok({rust}::{variant}),")?;
    }
    write!(
        out,
        "}}

impl TryFrom<i32> for {rust} {{
    type Error = xdr::Error;

    fn try_from(number: i32) -> std::result::Result<Self, xdr::Error> {{
        match number {{
{arms}            other => Err(xdr::Error::UnknownDiscriminant(other)),
        }}
    }}
}}

impl xdr::Encode for {rust} {{
    fn encode(&self, out: &mut Vec<u8>) -> std::result::Result<(), xdr::Error> {{
        (*self as i32).encode(out)
    }}
}}

impl xdr::Decode for {rust} {{
    fn decode(reader: &mut xdr::Reader<'_>) -> std::result::Result<Self, xdr::Error> {{
        <i32 as xdr::Decode>::decode(reader)?.try_into()
    }}
}}
"
    )?;
    Ok(out)
}

/// Length of the longest prefix, ending in an underscore, that all names share.
fn common_prefix<'a>(mut names: impl Iterator<Item = &'a str> + Clone) -> usize {
    let first = names.next().unwrap_or_default();
    let ends = first.match_indices('_').map(|(at, _)| at + 1);
    ends.filter(|&end| names.clone().all(|name| name.starts_with(&first[..end]))).last().unwrap_or(0)
}

fn union(name: &str, union: &Union) -> Result<String> {
    let rust = type_name(name);
    let prefix = common_prefix(union.arms.iter().map(|arm| arm.constant.as_str()));
    let (mut variants, mut encode, mut decode) = (String::new(), String::new(), String::new());
    for arm in &union.arms {
        let variant = camel(&arm.constant[prefix..]);
        let case = arm.case;
        writeln!(variants, "    /// `{}`.\n    {variant}({}),", arm.constant, rust_type(&arm.body)?)?;
        writeln!(
            encode,
            "            {rust}::{variant}(value) => {{ {case}_i32.encode(out)?; {} }}",
            encoder("value", &arm.body)?
        )?;
        writeln!(decode, "            {case} => Ok({rust}::{variant}({})),", decoder(&arm.body)?)?;
    }
    Ok(format!(
        "
/// `{name}`.
#[derive(Debug, Clone, PartialEq)]
pub enum {rust} {{
{variants}}}

impl xdr::Encode for {rust} {{
    fn encode(&self, out: &mut Vec<u8>) -> std::result::Result<(), xdr::Error> {{
        match self {{
{encode}        }}
        Ok(())
    }}
}}

impl xdr::Decode for {rust} {{
    fn decode(reader: &mut xdr::Reader<'_>) -> std::result::Result<Self, xdr::Error> {{
        match <i32 as xdr::Decode>::decode(reader)? {{
{decode}            other => Err(xdr::Error::UnknownDiscriminant(other)),
        }}
    }}
}}
"
    ))
}

fn structure(table: &Table, name: &str) -> Result<String> {
    let rust = type_name(name);
    let fields = table.fields(name)?;
    let default = if holds_union(table, &fields) { "" } else { ", Default" };
    let (mut members, mut encode, mut decode) = (String::new(), String::new(), String::new());
    for field in &fields {
        let member = snake(&field.name);
        writeln!(members, "    /// `{}`.\n    pub {member}: {},", field.name, rust_type(field)?)?;
        writeln!(encode, "        {}", encoder(&format!("self.{member}"), field)?)?;
        writeln!(decode, "            {member}: {},", decoder(field)?)?;
    }
    Ok(format!(
        "
/// `{name}`.
#[derive(Debug, Clone, PartialEq{default})]
pub struct {rust} {{
{members}}}

impl xdr::Encode for {rust} {{
    fn encode(&self, out: &mut Vec<u8>) -> std::result::Result<(), xdr::Error> {{
{encode}        Ok(())
    }}
}}

impl xdr::Decode for {rust} {{
    fn decode(reader: &mut xdr::Reader<'_>) -> std::result::Result<Self, xdr::Error> {{
        Ok({rust} {{
{decode}        }})
    }}
}}
"
    ))
}

/// Unions have no natural default, nor has a struct that holds one directly.
fn holds_union(table: &Table, fields: &[Type]) -> bool {
    fields.iter().any(|field| match field.kind.as_str() {
        "union" => true,
        "struct" => field
            .type_name
            .as_deref()
            .and_then(|name| table.fields(name).ok())
            .is_some_and(|inner| holds_union(table, &inner)),
        _ => false,
    })
}

fn element(of: &Type) -> Result<&Type> {
    of.of.as_deref().with_context(|| format!("{} without element type", of.kind))
}

fn rust_type(of: &Type) -> Result<String> {
    Ok(match of.kind.as_str() {
        "int" => "i32".into(),
        "uint" => "u32".into(),
        "hyper" => "i64".into(),
        "uhyper" => "u64".into(),
        "bool" => "bool".into(),
        "double" => "f64".into(),
        "char" => "i8".into(),
        "uchar" => "u8".into(),
        "short" => "i16".into(),
        "ushort" => "u16".into(),
        "string" => "String".into(),
        "opaque" => of.len.map_or("Vec<u8>".into(), |length| format!("[u8; {length}]")),
        "array" => {
            let inner = rust_type(element(of)?)?;
            of.len.map_or(format!("Vec<{inner}>"), |length| format!("[{inner}; {length}]"))
        }
        "optional" => format!("Option<{}>", rust_type(element(of)?)?),
        "struct" | "union" | "enum" => path(of.type_name.as_deref().context("type name")?),
        other => bail!("unknown kind {other}"),
    })
}

/// Types of the remote program that other programs import.
fn path(wire: &str) -> String {
    let rust = type_name(wire);
    if wire.starts_with("remote_") { format!("super::remote::{rust}") } else { rust }
}

fn encoder(place: &str, of: &Type) -> Result<String> {
    let borrowed = if place.starts_with("self.") { format!("&{place}") } else { place.to_owned() };
    let max = of.max.unwrap_or(usize::MAX);
    Ok(match (of.kind.as_str(), of.len) {
        ("string", _) => format!("xdr::encode_string({borrowed}, {max}, out)?;"),
        ("opaque", Some(_)) => format!("xdr::encode_opaque_fixed({borrowed}, out);"),
        ("opaque", None) => format!("xdr::encode_opaque({borrowed}, {max}, out)?;"),
        ("array", Some(_)) => format!("xdr::encode_array_fixed({borrowed}, out)?;"),
        ("array", None) if element(of)?.kind == "string" => {
            let inner = element(of)?.max.unwrap_or(usize::MAX);
            format!("super::encode_strings({borrowed}, {max}, {inner}, out)?;")
        }
        ("array", None) => format!("xdr::encode_array({borrowed}, {max}, out)?;"),
        ("optional", _) => match element(of)?.kind.as_str() {
            "string" => {
                format!("super::encode_optional_string({borrowed}, {}, out)?;", element(of)?.max.unwrap_or(usize::MAX))
            }
            _ => format!("{place}.encode(out)?;"),
        },
        _ => format!("{place}.encode(out)?;"),
    })
}

fn decoder(of: &Type) -> Result<String> {
    let max = of.max.unwrap_or(usize::MAX);
    Ok(match (of.kind.as_str(), of.len) {
        ("string", _) => format!("xdr::decode_string(reader, {max})?"),
        ("opaque", Some(_)) => "xdr::decode_opaque_fixed(reader)?".into(),
        ("opaque", None) => format!("xdr::decode_opaque(reader, {max})?"),
        ("array", Some(_)) => "xdr::decode_array_fixed(reader)?".into(),
        ("array", None) if element(of)?.kind == "string" => {
            format!("super::decode_strings(reader, {max}, {})?", element(of)?.max.unwrap_or(usize::MAX))
        }
        ("array", None) => format!("xdr::decode_array(reader, {max})?"),
        ("optional", _) if element(of)?.kind == "string" => {
            format!("super::decode_optional_string(reader, {})?", element(of)?.max.unwrap_or(usize::MAX))
        }
        _ => "xdr::Decode::decode(reader)?".into(),
    })
}

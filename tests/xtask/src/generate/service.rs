//! Procedure numbers, the procedure table, service traits and their dispatch.

use super::constant::Constants;
use super::name::{camel, snake, type_name};
use super::table::{Procedure, Table};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;

pub fn generate(table: &Table, constants: &Constants) -> Result<String> {
    let Some(program) = &table.program else { return Ok(String::new()) };
    let mut out = String::from("\n/// Procedure numbers.\npub mod proc {\n");
    for procedure in &table.procedures {
        let upper = procedure.name.to_uppercase();
        writeln!(
            out,
            "    /// {} {}.\n    pub const {upper}: i32 = {};",
            procedure.kind,
            api(procedure),
            procedure.num
        )?;
    }
    out.push_str("}\n");
    out.push_str(
        "\n/// Every procedure, in ascending order of numbers.\npub static PROCEDURES: &[super::Procedure] = &[\n",
    );
    let mut sorted: Vec<&Procedure> = table.procedures.iter().collect();
    sorted.sort_by_key(|procedure| procedure.num);
    for procedure in &sorted {
        out.push_str(&row(&program.name, procedure, constants)?);
    }
    out.push_str("];\n");
    out.push_str(
        "\n/// Finds a procedure by number.\npub fn procedure(number: i32) -> Option<&'static super::Procedure> {\n    super::find(PROCEDURES, number)\n}\n",
    );
    out.push_str(&flags_of(table, &sorted)?);
    let mut classes: BTreeMap<&str, Vec<&Procedure>> = BTreeMap::new();
    for procedure in sorted.into_iter().filter(|procedure| procedure.kind == "call") {
        classes.entry(procedure.class.as_deref().unwrap_or("service")).or_default().push(procedure);
    }
    for (class, procedures) in classes {
        out.push_str(&service(class, &procedures)?);
    }
    Ok(out)
}

fn api(procedure: &Procedure) -> &str {
    procedure.api.as_deref().unwrap_or(&procedure.name)
}

fn row(program: &str, procedure: &Procedure, constants: &Constants) -> Result<String> {
    let call = procedure.kind == "call";
    let class = procedure.class.as_deref().unwrap_or("service");
    let read_only = match (procedure.ro.as_deref(), &procedure.ro_deny_if) {
        (Some("allow"), _) => "Allow".to_owned(),
        (Some("deny"), _) => "Deny".to_owned(),
        (None, Some(flags)) => {
            let mask = flags.iter().map(|flag| constants.flag(flag)).sum::<Result<u32>>()?;
            format!("DenyIf({mask:#x})")
        }
        // These programs have no read-only sockets.
        _ if !call || !matches!(program, "remote" | "qemu") => "Allow".to_owned(),
        _ => bail!("{program} procedure {} does not say whether read-only clients may call it", procedure.name),
    };
    let stream = match &procedure.stream {
        None => "None".to_owned(),
        Some(stream) => {
            let sparse = stream.sparse_if.as_deref().map(|flag| constants.flag(flag)).transpose()?.unwrap_or(0);
            let direction = camel(&stream.dir);
            format!("Some(super::StreamInfo {{ direction: super::Direction::{direction}, sparse_if: {sparse:#x} }})")
        }
    };
    let event = match &procedure.event {
        Some(event) => format!(
            "Some(super::EventInfo {{ id: {}, global: {} }})",
            event.id.unwrap_or(-1),
            event.variant.as_deref() == Some("global")
        ),
        None => "None".to_owned(),
    };
    Ok(format!(
        "super::Procedure {{ number: {}, name: {:?}, api: {:?}, class: super::Class::{}, kind: super::Kind::{}, high_priority: {}, read_only: super::ReadOnly::{read_only}, stream: {stream}, fds_in: {}, fds_out: {}, acl: &{:?}, acl_filter: &{:?}, event: {event} }},\n",
        procedure.num,
        procedure.name.to_uppercase(),
        api(procedure),
        camel(class),
        camel(&procedure.kind),
        procedure.prio == "high",
        procedure.fds_in.is_some(),
        procedure.fds_out.is_some(),
        procedure.acl,
        procedure.aclfilter,
    ))
}

/// The flags argument of calls whose access depends on it, found without running the call.
fn flags_of(table: &Table, procedures: &[&Procedure]) -> Result<String> {
    let mut arms = String::new();
    for procedure in procedures {
        let Some(args) = &procedure.args else { continue };
        let depends = procedure.ro_deny_if.is_some()
            || procedure.stream.as_ref().is_some_and(|stream| stream.sparse_if.is_some())
            || procedure.acl.iter().any(|acl| acl.matches(':').count() == 2);
        if depends && table.fields(args)?.iter().any(|field| field.name == "flags" && field.kind == "uint") {
            writeln!(
                arms,
                "        {} => super::decode::<{}>(payload).ok().map(|args| args.flags),",
                procedure.num,
                type_name(args)
            )?;
        }
    }
    let (payload, number) = if arms.is_empty() { ("_", "_") } else { ("payload", "number") };
    let body = if arms.is_empty() {
        "    None\n".to_owned()
    } else {
        format!("    match number {{\n{arms}        _ => None,\n    }}\n")
    };
    Ok(format!(
        "\n/// The `flags` of a call on which access or the form of its stream depends; None for the others and\n/// for a payload that cannot be decoded.\npub fn flags_of({number}: i32, {payload}: &[u8]) -> Option<u32> {{\n{body}}}\n"
    ))
}

fn service(class: &str, procedures: &[&Procedure]) -> Result<String> {
    let rust = camel(class);
    let mut methods = String::new();
    let mut arms = String::new();
    for procedure in procedures {
        let method = snake(&procedure.name);
        let args = procedure.args.as_deref().map(type_name);
        let ret = procedure.ret.as_deref().map(type_name);
        let api = api(procedure);
        let output = ret.as_deref().unwrap_or("()");
        let parameter = args.as_ref().map_or(String::new(), |args| format!(", args: {args}"));
        let ignored = if args.is_some() { "(call, args)" } else { "call" };
        write!(
            methods,
            "
    /// {api} ({}).
    fn {method}(&self, call: &C{parameter}) -> impl Future<Output = error::Result<{output}>> + Send {{
        let _ = {ignored};
        std::future::ready(Err(error::Error::no_support({api:?})))
    }}
",
            procedure.num
        )?;
        let (bind, argument) = match &args {
            Some(args) => (format!("let args = super::decode::<{args}>(&payload)?; "), ", args"),
            None => (String::new(), ""),
        };
        writeln!(
            arms,
            "        {} => Box::pin(async move {{ {bind}super::reply(&service.{method}(&call{argument}).await?) }}),",
            procedure.num
        )?;
    }
    let any = procedures.first().context("a class has procedures")?;
    let _ = any;
    Ok(format!(
        "
/// The calls of class `{class}`. Methods that a driver does not override answer as libvirt does when a
/// driver lacks the entry: `VIR_ERR_NO_SUPPORT` with the public function's name.
pub trait {rust}<C: Sync>: Send + Sync + 'static {{{methods}}}

/// Decodes the arguments, runs the call and encodes its result. The reply has [`super::FRAME_HEAD`]
/// bytes in front for the frame's length and header.
pub fn dispatch_{snake}<C, S>(service: std::sync::Arc<S>, call: C, number: i32, payload: bytes::Bytes) -> super::ReplyFuture
where
    C: Send + Sync + 'static,
    S: {rust}<C>,
{{
    let _ = &payload;
    match number {{
{arms}        other => Box::pin(std::future::ready(Err(super::unknown_procedure(other)))),
    }}
}}
",
        snake = snake(class)
    ))
}

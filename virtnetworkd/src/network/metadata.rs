//! Title, description and custom elements.

use conf::network::NetworkDef;
use error::{Code, Domain, Error, Result};
use protocol::constants::{VIR_NETWORK_METADATA_DESCRIPTION, VIR_NETWORK_METADATA_ELEMENT, VIR_NETWORK_METADATA_TITLE};
use xml::{Content, Element};

use super::change::resolve;
use super::{Affect, MetadataChange, View};

fn unknown() -> Error {
    Error::new(Domain::Network, Code::InvalidArg, "unknown metadata type")
}

pub(super) fn get(view: &View, kind: i32, uri: Option<&str>, affect: Affect) -> Result<String> {
    let flags = u32::from(affect.live) | u32::from(affect.config) << 1;
    let affect = resolve(flags, view.active(), view.persistent.is_some())?;
    let def = if affect.config { view.persistent.as_ref() } else { view.live.as_ref() };
    let found = def.map_or(Ok(None), |def| match kind {
        VIR_NETWORK_METADATA_DESCRIPTION => Ok(def.description.clone()),
        VIR_NETWORK_METADATA_TITLE => Ok(def.title.clone()),
        VIR_NETWORK_METADATA_ELEMENT => Ok(element(def, uri).map(|e| e.format(0))),
        _ => Err(unknown()),
    })?;
    found.ok_or_else(|| {
        Error::new(Domain::Network, Code::NoNetworkMetadata, "Requested metadata element is not present")
    })
}

/// The custom element of a namespace, without the prefix that its document gives it.
fn element(def: &NetworkDef, uri: Option<&str>) -> Option<Element> {
    let found = def.metadata.as_ref()?.children.iter().find_map(|c| match c {
        Content::Element(e) if e.namespace.as_deref() == uri => Some(e),
        _ => None,
    })?;
    let mut bare = found.clone();
    let prefix = found.name.split_once(':').map(|(p, _)| p.to_owned());
    if let Some(prefix) = prefix {
        strip(&mut bare, &prefix);
        bare.attributes.retain(|(n, _)| *n != format!("xmlns:{prefix}"));
    }
    bare.attributes.retain(|(n, v)| n != "xmlns" || Some(v.as_str()) != uri);
    Some(bare)
}

fn strip(e: &mut Element, prefix: &str) {
    if let Some(("", name)) = e.name.split_once(prefix).map(|(a, b)| (a, b.trim_start_matches(':'))) {
        e.name = name.to_owned();
    }
    for child in &mut e.children {
        if let Content::Element(child) = child {
            strip(child, prefix);
        }
    }
}

fn prefixed(e: &mut Element, key: &str, uri: &str) {
    if !e.name.contains(':') && e.namespace.is_none() {
        e.name = format!("{key}:{}", e.name);
        e.namespace = Some(uri.to_owned());
        for child in &mut e.children {
            if let Content::Element(child) = child {
                prefixed(child, key, uri);
            }
        }
    }
}

/// The definition with the change made.
pub(super) fn set(def: &NetworkDef, change: &MetadataChange) -> Result<NetworkDef> {
    let mut def = def.clone();
    match change.kind {
        VIR_NETWORK_METADATA_DESCRIPTION => def.description = change.text.clone().filter(|t| !t.is_empty()),
        VIR_NETWORK_METADATA_TITLE => def.title = change.text.clone().filter(|t| !t.is_empty()),
        VIR_NETWORK_METADATA_ELEMENT => {
            let uri = change.uri.clone().unwrap_or_default();
            let metadata = def.metadata.get_or_insert_with(|| Element {
                name: "metadata".to_owned(),
                namespace: None,
                attributes: Vec::new(),
                children: Vec::new(),
            });
            metadata.children.retain(|c| !matches!(c, Content::Element(e) if e.namespace.as_deref() == Some(&uri)));
            if let Some(text) = &change.text {
                let document = xml::parse(text)?;
                let mut element = Element::from_node(document.root());
                let key = change.key.clone().unwrap_or_default();
                prefixed(&mut element, &key, &uri);
                element.attributes.insert(0, (format!("xmlns:{key}"), uri));
                metadata.children.push(Content::Element(element));
            }
            if metadata.children.is_empty() {
                def.metadata = None;
            }
        }
        _ => return Err(unknown()),
    }
    Ok(def)
}

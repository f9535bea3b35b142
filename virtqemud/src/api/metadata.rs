//! Title, description and foreign elements.

use conf::domain::DomainDef;
use error::{Code, Domain as From, Error};
use protocol::constants as c;
use protocol::remote;
use rpc::Call;
use xml::{Content, Element};

use super::{Api, bad_argument, check_flags, info, invalid, not_running};

const AFFECT: u32 = c::VIR_DOMAIN_AFFECT_LIVE | c::VIR_DOMAIN_AFFECT_CONFIG;

pub(super) async fn get(
    api: &Api,
    _: &Call,
    args: remote::DomainGetMetadataArgs,
) -> error::Result<remote::DomainGetMetadataRet> {
    check_flags("qemuDomainGetMetadata", args.flags, AFFECT)?;
    let view = api.find(&args.dom)?.view();
    let def = info::pick(&view, args.flags)?;
    let metadata = match args.type_ {
        c::VIR_DOMAIN_METADATA_DESCRIPTION => def.description.clone(),
        c::VIR_DOMAIN_METADATA_TITLE => def.title.clone(),
        c::VIR_DOMAIN_METADATA_ELEMENT => {
            let uri = args.uri.as_deref().ok_or_else(|| bad_argument("uri is required"))?;
            def.metadata
                .iter()
                .find(|element| element.namespace.as_deref() == Some(uri))
                .map(|element| bare(element.clone(), uri).format(0))
        }
        other => return Err(bad_argument(format!("unknown metadata type: {other}"))),
    };
    let missing = || Error::new(From::Qemu, Code::NoDomainMetadata, "Requested metadata element is not present");
    Ok(remote::DomainGetMetadataRet { metadata: metadata.ok_or_else(missing)? })
}

pub(super) async fn set(api: &Api, _: &Call, args: remote::DomainSetMetadataArgs) -> error::Result<()> {
    check_flags("qemuDomainSetMetadata", args.flags, AFFECT)?;
    let domain = api.find(&args.dom)?;
    let view = domain.view();
    let (mut live, mut config) =
        (args.flags & c::VIR_DOMAIN_AFFECT_LIVE != 0, args.flags & c::VIR_DOMAIN_AFFECT_CONFIG != 0);
    if !live && !config {
        (live, config) = (view.is_active(), !view.is_active());
    }
    if live && !view.is_active() {
        return Err(not_running());
    }
    if config && view.persistent.is_none() {
        return Err(invalid("transient domains do not have any persistent config"));
    }
    let change = Change::from_args(&args)?;
    domain.ask(move |actor| Box::pin(async move { actor.set_metadata(change, live, config).await })).await
}

/// A checked change.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Title(Option<String>),
    Description(Option<String>),
    Element { uri: String, element: Option<Element> },
}

impl Change {
    fn from_args(args: &remote::DomainSetMetadataArgs) -> error::Result<Change> {
        match args.type_ {
            c::VIR_DOMAIN_METADATA_TITLE => {
                if args.metadata.as_deref().is_some_and(|text| text.contains('\n')) {
                    return Err(bad_argument("metadata title can't contain newlines"));
                }
                Ok(Change::Title(args.metadata.clone().filter(|text| !text.is_empty())))
            }
            c::VIR_DOMAIN_METADATA_DESCRIPTION => {
                Ok(Change::Description(args.metadata.clone().filter(|text| !text.is_empty())))
            }
            c::VIR_DOMAIN_METADATA_ELEMENT => {
                let uri = args.uri.clone().ok_or_else(|| bad_argument("uri is required"))?;
                let element = match (&args.metadata, &args.key) {
                    (Some(text), Some(key)) => {
                        Some(qualify(Element::from_node(xml::parse(text)?.root()), key, &uri, true))
                    }
                    (Some(_), None) => return Err(bad_argument("key is required")),
                    (None, _) => None,
                };
                Ok(Change::Element { uri, element })
            }
            other => Err(bad_argument(format!("unknown metadata type: {other}"))),
        }
    }

    /// `virDomainMetadataType` and namespace, for the event.
    pub(crate) fn subject(&self) -> (i32, Option<String>) {
        match self {
            Change::Title(_) => (c::VIR_DOMAIN_METADATA_TITLE, None),
            Change::Description(_) => (c::VIR_DOMAIN_METADATA_DESCRIPTION, None),
            Change::Element { uri, .. } => (c::VIR_DOMAIN_METADATA_ELEMENT, Some(uri.clone())),
        }
    }

    /// Makes the change.
    pub(crate) fn apply(&self, def: &mut DomainDef) {
        match self {
            Change::Title(title) => def.title.clone_from(title),
            Change::Description(description) => def.description.clone_from(description),
            Change::Element { uri, element } => {
                def.metadata.retain(|old| old.namespace.as_ref() != Some(uri));
                def.metadata.extend(element.clone());
            }
        }
    }
}

/// Puts the element and what is in it into the caller's namespace.
fn qualify(mut element: Element, key: &str, uri: &str, root: bool) -> Element {
    if !element.name.contains(':') {
        element.name = format!("{key}:{}", element.name);
        element.namespace = Some(uri.to_owned());
    }
    if root {
        element.attributes.insert(0, (format!("xmlns:{key}"), uri.to_owned()));
    }
    let inner = |content| match content {
        Content::Element(child) => Content::Element(qualify(child, key, uri, false)),
        other => other,
    };
    element.children = element.children.into_iter().map(inner).collect();
    element
}

/// The element as it was set: without the namespace that it is kept under.
fn bare(mut element: Element, uri: &str) -> Element {
    if element.namespace.as_deref() == Some(uri) {
        element.name = element.name.rsplit(':').next().unwrap_or_default().to_owned();
        element.namespace = None;
    }
    element.attributes.retain(|(name, value)| !((name == "xmlns" || name.starts_with("xmlns:")) && value == uri));
    let inner = |content| match content {
        Content::Element(child) => Content::Element(bare(child, uri)),
        other => other,
    };
    element.children = element.children.into_iter().map(inner).collect();
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_kept_under_a_namespace_and_returned_without() {
        let uri = "http://example.org/x";
        let element = Element::from_node(xml::parse("<a><b c='1'/></a>").unwrap().root());
        let kept = qualify(element, "x", uri, true);
        assert_eq!(kept.format(0), format!("<x:a xmlns:x=\"{uri}\">\n  <x:b c=\"1\"/>\n</x:a>"));
        assert_eq!(bare(kept, uri).format(0), "<a>\n  <b c=\"1\"/>\n</a>");
    }
}

//! `Gateway`: who listens for strangers.
use super::{
    few::Few,
    http_route::DefaultScope,
    reference::{LocalRef, ObjectRef, SecretRef},
    selector::LabelSelector,
    text::{
        Group, Hostname, Kind, LabelValue, Name, OptionKey, OptionValue, Protocol, SectionName,
    },
};
use crate::{
    object::{
        meta::{Meta, Scope},
        node::Node,
        port::Port,
        spanned::Spanned,
        written::{Read, read},
    },
    problem::{Problem, Source},
};
use serde::Deserialize;
use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

mod check;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub meta: Meta,
    pub spec: GatewaySpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    pub gateway_class_name: Spanned<Name>,
    pub listeners: Few<Spanned<Listener>, 1, 64>,
    #[serde(default)]
    pub addresses: Few<Spanned<Address>, 0, 16>,
    pub infrastructure: Option<Spanned<Infrastructure>>,
    pub allowed_listeners: Option<Spanned<AllowedListeners>>,
    pub tls: Option<GatewayTls>,
    /// Of the experimental channel.
    pub default_scope: Option<Spanned<DefaultScope>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    pub name: SectionName,
    /// `None`: every host.
    pub hostname: Option<Hostname>,
    port: Port,
    pub protocol: Protocol,
    pub tls: Option<Spanned<ListenerTls>>,
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerTls {
    pub mode: TlsMode,
    pub certificate_refs: Few<Spanned<SecretRef>, 0, 64>,
    pub options: Option<Spanned<BTreeMap<OptionKey, OptionValue>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TlsMode {
    #[default]
    Terminate,
    Passthrough,
}

/// Which routes may be attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedRoutes {
    pub namespaces: RouteNamespaces,
    /// Empty: those that fit the protocol.
    pub kinds: Few<Spanned<RouteKind>, 0, 8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RouteNamespaces {
    pub from: FromNamespaces,
    pub selector: Option<LabelSelector>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum FromNamespaces {
    All,
    Selector,
    #[default]
    Same,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RouteKind {
    pub group: Option<Group>,
    pub kind: Kind,
}

/// Where it is to be reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Address {
    #[serde(rename = "type")]
    kind: Option<AddressKind>,
    value: Option<AddressValue>,
}

/// `IPAddress`, `Hostname`, `NamedAddress`, or `DOMAIN/PATH` of another's making.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct AddressKind(String);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct AddressValue(String);

/// What is said of whatever is made for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Infrastructure {
    pub labels: BTreeMap<OptionKey, LabelValue>,
    pub annotations: BTreeMap<OptionKey, OptionValue>,
    pub parameters_ref: Option<LocalRef>,
}

/// Which `ListenerSet`s may be attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AllowedListeners {
    pub namespaces: ListenerNamespaces,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ListenerNamespaces {
    pub from: FromListenerNamespaces,
    pub selector: Option<LabelSelector>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum FromListenerNamespaces {
    All,
    Selector,
    Same,
    #[default]
    None,
}

/// TLS of all listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GatewayTls {
    pub backend: Option<BackendTls>,
    pub frontend: Option<FrontendTls>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    /// What the gateway shows to what is behind it.
    pub client_certificate_ref: Option<Spanned<SecretRef>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendTls {
    pub default: ClientTls,
    #[serde(default)]
    pub per_port: Few<Spanned<PortTls>, 0, 64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PortTls {
    port: Port,
    pub tls: ClientTls,
}

/// What is asked of clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ClientTls {
    pub validation: Option<ClientValidation>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientValidation {
    #[serde(rename = "caCertificateRefs")]
    pub ca_certificate_refs: Few<Spanned<ObjectRef>, 1, 16>,
    #[serde(default)]
    pub mode: ClientMode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClientMode {
    #[default]
    AllowValidOnly,
    AllowInsecureFallback,
}

impl TryFrom<String> for AddressKind {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let own = ["IPAddress", "Hostname", "NamedAddress"].contains(&written.as_str());
        if own || super::text::ControllerName::try_from(written.clone()).is_ok() {
            return Ok(Self(written));
        }
        Err(format!("`{written}` is not one of IPAddress, Hostname, NamedAddress, DOMAIN/PATH"))
    }
}

impl TryFrom<String> for AddressValue {
    type Error = &'static str;

    fn try_from(written: String) -> Result<Self, &'static str> {
        if written.chars().count() <= 253 {
            Ok(Self(written))
        } else {
            Err("at most 253 characters fit")
        }
    }
}

impl Gateway {
    pub(in crate::object) fn read(node: &Node, source: &Arc<Source>) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read(node, source, Scope::Namespaced)?;
        let gateway = Self { meta, spec };
        gateway.check(&mut problems);
        if problems.is_empty() { Ok(gateway) } else { Err(problems) }
    }
}

impl Listener {
    #[must_use]
    pub fn port(&self) -> NonZeroU16 {
        self.port.0
    }
}

impl Address {
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_ref().map_or("IPAddress", |kind| &kind.0)
    }

    /// Empty: any.
    #[must_use]
    pub fn value(&self) -> &str {
        self.value.as_ref().map_or("", |value| &value.0)
    }
}

impl PortTls {
    #[must_use]
    pub fn port(&self) -> NonZeroU16 {
        self.port.0
    }
}

//! Who listens, for what, with which certificates.
use super::{
    grant::Naming,
    status::{Condition, ListenerStatus},
    world::World,
};
use crate::{
    compile::http::plan::{
        gateway::{ClientAuth, ServerTls},
        traffic::{Credential, Trust},
    },
    object::{
        gateway_api::{
            GROUP,
            gateway::{ClientMode, FromNamespaces, Gateway, Listener, TlsMode},
        },
        meta::Meta,
        secret::Secret,
    },
};
use std::sync::Arc;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http,
    Https,
    /// TLS that ends here.
    TlsEnded,
    TlsPassed,
    Tcp,
}

/// A listener, and what is known of it before any route is.
pub(super) struct Listening<'a> {
    pub(super) listener: &'a Listener,
    /// `None`: nobody listens.
    pub(super) speaks: Option<Speaks>,
    pub(super) tls: Option<ServerTls>,
    /// Kinds of routes that may be attached.
    pub(super) kinds: Vec<&'static str>,
    pub(super) attached: usize,
    conditions: Vec<Condition>,
}

impl Speaks {
    fn of(listener: &Listener) -> Option<Self> {
        let mode = listener.tls.as_ref().map_or(TlsMode::Terminate, |tls| tls.value.mode);
        match (&*listener.protocol, mode) {
            ("HTTP", _) => Some(Self::Http),
            ("HTTPS", _) => Some(Self::Https),
            ("TLS", TlsMode::Terminate) => Some(Self::TlsEnded),
            ("TLS", TlsMode::Passthrough) => Some(Self::TlsPassed),
            ("TCP", _) => Some(Self::Tcp),
            _ => None,
        }
    }

    fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Http | Self::Https => &["HTTPRoute", "GRPCRoute"],
            Self::TlsPassed => &["TLSRoute"],
            Self::TlsEnded | Self::Tcp => &["TCPRoute"],
        }
    }

    /// Whether both can have one port: those that ask for a name first.
    fn shares_with(self, other: Self) -> bool {
        let asks = |one| matches!(one, Self::Https | Self::TlsEnded | Self::TlsPassed);
        self == other && self != Self::Tcp || asks(self) && asks(other)
    }
}

/// All listeners of a gateway.
pub(super) fn listen<'a>(world: &World<'a>, gateway: &'a Gateway) -> Vec<Listening<'a>> {
    let listeners = gateway.spec.listeners.iter().map(|listener| &listener.value);
    listeners.map(|listener| listening(world, gateway, listener)).collect()
}

fn listening<'a>(world: &World<'a>, gateway: &'a Gateway, listener: &'a Listener) -> Listening<'a> {
    let speaks = Speaks::of(listener);
    let accepted = if speaks.is_some() {
        Condition::fine("Accepted")
    } else {
        let message = format!("{} is not spoken here", listener.protocol);
        Condition::not("Accepted", "UnsupportedProtocol", message)
    };
    let rival = rival(gateway, listener, speaks);
    let conflicted = match rival {
        Some(rival) => {
            let message = format!("port {} is that of listener {}", listener.port(), rival.name);
            Condition::is("Conflicted", "ProtocolConflict", message)
        }
        None => Condition::fine("Conflicted"),
    };
    let mut wrong = Vec::new();
    let kinds = kinds(listener, speaks, &mut wrong);
    let needs_tls = matches!(speaks, Some(Speaks::Https | Speaks::TlsEnded));
    let tls = if needs_tls { tls(world, gateway, listener, &mut wrong) } else { None };
    let is_served = speaks.is_some() && rival.is_none() && (tls.is_some() || !needs_tls);
    let resolved = match wrong.into_iter().next() {
        Some((reason, message)) => Condition::not("ResolvedRefs", reason, message),
        None => Condition::fine("ResolvedRefs"),
    };
    let programmed = if is_served {
        Condition::fine("Programmed")
    } else {
        Condition::not("Programmed", "Invalid", "nobody listens: see the other conditions")
    };
    let conditions = vec![accepted, conflicted, resolved, programmed];
    let speaks = speaks.filter(|_| is_served);
    Listening { listener, speaks, tls, kinds, attached: 0, conditions }
}

/// Another listener that cannot have the same port.
fn rival<'a>(
    gateway: &'a Gateway,
    listener: &Listener,
    speaks: Option<Speaks>,
) -> Option<&'a Listener> {
    let mut others = gateway.spec.listeners.iter().map(|other| &other.value);
    others.find(|other| {
        other.name != listener.name
            && other.port() == listener.port()
            && speaks.zip(Speaks::of(other)).is_some_and(|(one, other)| !one.shares_with(other))
    })
}

/// Which kinds of routes may be attached.
fn kinds(
    listener: &Listener,
    speaks: Option<Speaks>,
    wrong: &mut Vec<(&'static str, String)>,
) -> Vec<&'static str> {
    let able = speaks.map(Speaks::kinds).unwrap_or_default();
    let named = &listener.allowed_routes.kinds;
    if named.is_empty() {
        return able.to_vec();
    }
    let mut kinds = Vec::new();
    for one in named.iter().map(|kind| &kind.value) {
        let group = one.group.as_deref().unwrap_or(GROUP);
        match able.iter().find(|kind| group == GROUP && **kind == &*one.kind) {
            Some(kind) => kinds.push(*kind),
            None => {
                let message = format!("{} cannot be attached to {}", one.kind, listener.protocol);
                wrong.push(("InvalidRouteKinds", message));
            }
        }
    }
    kinds
}

/// The certificates of a listener; `None`: there is none that can be used.
fn tls(
    world: &World<'_>,
    gateway: &Gateway,
    listener: &Listener,
    wrong: &mut Vec<(&'static str, String)>,
) -> Option<ServerTls> {
    let from = &*gateway.meta.name.namespace;
    let mut credentials = Vec::new();
    let refs = listener.tls.iter().flat_map(|tls| tls.value.certificate_refs.iter());
    for named in refs.map(|named| &named.value) {
        let (group, of) = named.what();
        let namespace = named.namespace.as_deref().unwrap_or(from);
        let name = &*named.name;
        if (group, of) != ("", "Secret") {
            wrong.push(("InvalidCertificateRef", format!("{of} {name} is no Secret")));
            continue;
        }
        if !world.permits(&Naming { kind: "Gateway", from, group, of, namespace, name }) {
            let message = format!(
                "no ReferenceGrant of namespace {namespace} lets Gateways of {from} name Secret {name}"
            );
            wrong.push(("RefNotPermitted", message));
            continue;
        }
        match world.secret(namespace, name) {
            None => {
                let message = format!("there is no Secret {namespace}/{name}");
                wrong.push(("InvalidCertificateRef", message));
            }
            Some(secret) if !holds_pair(secret) => {
                let message =
                    format!("Secret {namespace}/{name} holds no certificate with its key as PEM");
                wrong.push(("InvalidCertificateRef", message));
            }
            Some(_) => credentials
                .push(Credential::Secret { namespace: namespace.into(), name: name.into() }),
        }
    }
    if credentials.is_empty() {
        if wrong.is_empty() {
            let message = "no certificate is named".to_owned();
            wrong.push(("InvalidCertificateRef", message));
        }
        return None;
    }
    let client = client(world, gateway, listener, wrong)?;
    let (revoked, min, max, ciphers) = (None, None, None, Vec::new());
    Some(ServerTls { credentials, client, revoked, min, max, ciphers })
}

fn holds_pair(secret: &Secret) -> bool {
    let has = |name: &str, label: &[u8]| {
        let bytes = secret.data.get(name).map(|hidden| hidden.bytes()).unwrap_or_default();
        bytes.windows(label.len()).any(|part| part == label)
    };
    has("tls.crt", b"-----BEGIN CERTIFICATE-----") && has("tls.key", b"PRIVATE KEY-----")
}

/// What is asked of clients; `None`: something that cannot be known, so nobody is let in.
fn client(
    world: &World<'_>,
    gateway: &Gateway,
    listener: &Listener,
    wrong: &mut Vec<(&'static str, String)>,
) -> Option<ClientAuth> {
    let Some(frontend) = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else {
        return Some(ClientAuth::None);
    };
    let own = frontend.per_port.iter().find(|one| one.value.port() == listener.port());
    let tls = own.map_or(&frontend.default, |own| &own.value.tls);
    let Some(validation) = &tls.validation else { return Some(ClientAuth::None) };
    let from = &*gateway.meta.name.namespace;
    // One is used: the first that can be.
    for named in validation.ca_certificate_refs.iter().map(|named| &named.value) {
        let namespace = named.namespace.as_deref().unwrap_or(from);
        let (group, of, name) = (&*named.group, &*named.kind, &*named.name);
        if !world.permits(&Naming { kind: "Gateway", from, group, of, namespace, name }) {
            let message = format!(
                "no ReferenceGrant of namespace {namespace} lets Gateways of {from} name {of} {name}"
            );
            wrong.push(("RefNotPermitted", message));
            continue;
        }
        if (group, of) == ("", "ConfigMap")
            && let Some(lacks) = world.lacks_roots(namespace, name)
        {
            wrong.push(("InvalidCACertificateRef", lacks));
            continue;
        }
        let (namespace, name) = (namespace.into(), name.into());
        let trust = match (group, of) {
            ("", "ConfigMap") => Trust::Only(Credential::ConfigMap { namespace, name }),
            ("", "Secret") => Trust::Only(Credential::Secret { namespace, name }),
            _ => {
                let message = format!("{of} {name} is neither a ConfigMap nor a Secret");
                wrong.push(("InvalidCACertificateKind", message));
                continue;
            }
        };
        let names = Vec::new();
        return Some(match validation.mode {
            ClientMode::AllowValidOnly => ClientAuth::Required { trust, names },
            // Whoever shows one that is not valid is let in, too: so none is asked for.
            ClientMode::AllowInsecureFallback => ClientAuth::None,
        });
    }
    None
}

impl<'a> Listening<'a> {
    /// Whether routes of a namespace may be attached.
    pub(super) fn admits(&self, world: &World<'a>, gateway: &Meta, namespace: &'a str) -> bool {
        let allowed = &self.listener.allowed_routes.namespaces;
        match allowed.from {
            FromNamespaces::All => true,
            FromNamespaces::Same => *gateway.name.namespace == *namespace,
            FromNamespaces::Selector => allowed
                .selector
                .as_ref()
                .is_some_and(|selector| selector.chooses(|key| world.label(namespace, key))),
        }
    }

    pub(super) fn status(self) -> ListenerStatus {
        ListenerStatus {
            name: Arc::from(&*self.listener.name),
            supported_kinds: self.kinds,
            attached_routes: self.attached,
            conditions: self.conditions,
        }
    }
}

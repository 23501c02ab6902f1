//! Which Secrets and `ConfigMap`s are named for the certificates in them, beside the objects that name
//! them.
use super::tls::own_secret;
use crate::{
    compile::http::{
        credentials::{Holder, Named},
        emit::secrets::TRUST,
    },
    object::istio::{
        destination_rule::{
            DestinationRule,
            policy::TrafficPolicy,
            tls::{ClientTls, ClientTlsMode},
        },
        gateway::{
            Gateway,
            tls::{ServerTls, ServerTlsMode},
        },
    },
};
use culvert_model::name::ObjectName;

/// Those that a gateway shows to strangers, and knows them by.
pub(in crate::compile::http) fn secrets_of(gateway: &Gateway) -> Vec<Named> {
    let all = gateway.servers.iter().filter_map(|server| server.value.tls.as_ref());
    let names = all.flat_map(|tls| of_server(&tls.value));
    let own = &*gateway.meta.name.namespace;
    names.map(|(holder, name)| (holder, ObjectName::new(own, name))).collect()
}

/// Those that are shown to a service, and by which it is known.
pub(in crate::compile::http) fn secrets_to(rule: &DestinationRule) -> Vec<Named> {
    let subsets = rule.subsets.iter().filter_map(|subset| subset.value.policy.as_ref());
    let policies = rule.policy.iter().chain(subsets).map(|policy| &policy.value);
    let all = policies.flat_map(|TrafficPolicy { tls, port_level_settings, .. }| {
        let ports = port_level_settings.iter().filter_map(|port| port.value.tls.as_ref());
        tls.iter().chain(ports)
    });
    let names = all.flat_map(|tls| of_client(&tls.value));
    let own = &*rule.meta.name.namespace;
    names.map(|(holder, name)| (holder, ObjectName::new(own, name))).collect()
}

fn of_server(tls: &ServerTls) -> Vec<(Holder, String)> {
    let is_mutual = match tls.mode() {
        ServerTlsMode::Simple => false,
        ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => true,
        ServerTlsMode::Passthrough
        | ServerTlsMode::AutoPassthrough
        | ServerTlsMode::IstioMutual => return Vec::new(),
    };
    let several = tls.credential_names.iter().flat_map(|names| &names.value.0);
    let own = tls.credential_name.iter().map(|name| &name.value).chain(several);
    let roots = tls.ca_cert_credential_name.iter().filter(|_| is_mutual);
    let roots = roots.flat_map(|name| with_roots(&name.value, true));
    own.flat_map(|name| with_roots(name, is_mutual)).chain(roots).collect()
}

fn of_client(tls: &ClientTls) -> Vec<(Holder, String)> {
    match (tls.mode, &tls.credential_name) {
        (ClientTlsMode::Simple | ClientTlsMode::Mutual, Some(name)) => {
            with_roots(&name.value, true).collect()
        }
        (ClientTlsMode::Disable | ClientTlsMode::IstioMutual, _) | (_, None) => Vec::new(),
    }
}

/// Roots may be in a Secret of their own beside it.
fn with_roots(name: &str, has_roots: bool) -> impl Iterator<Item = (Holder, String)> {
    let (holder, name) = own_secret(name);
    let roots = (has_roots && holder == Holder::Secret).then(|| format!("{name}{TRUST}"));
    let all = [name.to_owned()].into_iter().chain(roots).filter(move |_| !name.is_empty());
    all.map(move |name| (holder, name))
}

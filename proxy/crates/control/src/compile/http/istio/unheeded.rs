//! What is written in Istio's objects and not done, told where it is written: whatever becomes of
//! the rest.
use super::{Objects, tls::own_secret};
use crate::{
    compile::http::{
        credentials::Holder,
        emit::{CIPHERS, LARGEST_BODY},
    },
    object::{
        istio::{
            destination_rule::{
                DestinationRule,
                policy::TrafficPolicy,
                tls::{ClientTls, ClientTlsMode},
            },
            domain::GatewayHost,
            gateway::{
                Gateway, Server,
                tls::{ServerTls, TlsVersion},
            },
            virtual_service::{VirtualService, http::Body},
        },
        spanned::Spanned,
    },
    problem::{Code, Mark, Problem},
};
use std::collections::{HashMap, hash_map::Entry};

/// All of it.
pub(super) fn told(objects: &Objects<'_>, notes: &mut Vec<Problem>) {
    objects.virtual_services.iter().for_each(|service| routes(service, notes));
    objects.destination_rules.iter().for_each(|rule| rules(rule, notes));
}

/// Of objects that say who listens for strangers, the oldest first.
pub(super) fn listeners(gateways: &[&Gateway], notes: &mut Vec<Problem>) {
    // Of TLS, whoever has a name on a port has all of it.
    let mut owners: HashMap<_, (&Gateway, &Server)> = HashMap::new();
    for &gateway in gateways {
        let object = format!("Gateway/{}", gateway.meta.name);
        let mut tell = |at: Mark, told: String, fix: &str| {
            let note = gateway.meta.at(at).warning(told).with_fix(fix);
            notes.push(note.coded(Code::Meaning).of(&object));
        };
        for Spanned { value: server, .. } in &gateway.servers {
            let Some(tls) = &server.tls else { continue };
            spoken(&tls.value, &mut tell);
            if !server.port.value.protocol.is_tls() || !tls.value.mode().ends_here() {
                continue;
            }
            let port = server.port.value.number();
            let bind = server.bind.as_ref().map_or("", |bind| bind.value.as_str());
            for Spanned { value: GatewayHost { host, .. }, at } in &server.hosts.value {
                let place = (&gateway.selector, port, bind, host.as_str());
                let (owner, first) = match owners.entry(place) {
                    Entry::Occupied(taken) => *taken.get(),
                    Entry::Vacant(free) => {
                        free.insert((gateway, server));
                        continue;
                    }
                };
                let by = match owner.meta.name == gateway.meta.name {
                    true => format!("an earlier server, {}", first.port.value.name.value),
                    false => format!("Gateway {}, which is older", owner.meta.name),
                };
                let host = host.as_str();
                let told = format!("{host} on port {port} is that of {by}: nobody is led here");
                tell(*at, told, "leave it out in one of them");
            }
        }
    }
}

/// Of the TLS of a server.
fn spoken(tls: &ServerTls, tell: &mut dyn FnMut(Mark, String, &str)) {
    if let Some(skip) = tls.insecure_skip_verify.as_ref().filter(|skip| skip.value) {
        let told = "insecureSkipVerify is not done: certificates of clients are verified";
        tell(skip.at, told.to_owned(), "leave it out; write OPTIONAL_MUTUAL, or SIMPLE");
    }
    let versions = [
        ("minProtocolVersion", &tls.min_protocol_version),
        ("maxProtocolVersion", &tls.max_protocol_version),
    ];
    for (field, version) in versions {
        if let Some(version) = version
            && matches!(version.value, TlsVersion::V1_0 | TlsVersion::V1_1)
        {
            let told = format!("{field}: TLS before 1.2 is not spoken here: it is 1.2");
            tell(version.at, told, "write TLSV1_2 or TLSV1_3");
        }
    }
    let is_known = |cipher: &&Spanned<String>| CIPHERS.contains(&&*cipher.value);
    let any = tls.cipher_suites.iter().any(|cipher| is_known(&cipher));
    for cipher in tls.cipher_suites.iter().filter(|cipher| !is_known(cipher)) {
        let then = if any { "it is left out" } else { "what is usual is spoken instead" };
        let told = format!("cipher suite {} is not spoken here: {then}", cipher.value);
        tell(cipher.at, told, &format!("of TLS 1.2 there are {}", CIPHERS.join(", ")));
    }
}

fn routes(service: &VirtualService, notes: &mut Vec<Problem>) {
    let object = format!("VirtualService/{}", service.meta.name);
    for direct in service.http.iter().filter_map(|route| route.value.direct_response.as_ref()) {
        let length = match &direct.value.body {
            Body::Empty => 0,
            Body::Text(text) => text.len(),
            Body::Bytes(bytes) => bytes.len(),
        };
        if length > LARGEST_BODY {
            let told = format!("a body of {length} bytes is left out: 1 MiB is the most");
            let note = service.meta.at(direct.at).warning(told);
            let note = note.with_fix("have a service answer, or redirect there");
            notes.push(note.coded(Code::Meaning).of(&object));
        }
    }
}

fn rules(rule: &DestinationRule, notes: &mut Vec<Problem>) {
    let object = format!("DestinationRule/{}", rule.meta.name);
    let of_subsets = rule.subsets.iter().filter_map(|subset| subset.value.policy.as_ref());
    for policy in rule.policy.iter().chain(of_subsets) {
        for tls in originated(&policy.value) {
            let Some(named) = named_secret(&tls.value) else { continue };
            let told = format!(
                "credentialName {}: a Secret is told to gateways alone: what pods send to {} fails",
                named.value,
                rule.host.value.as_str()
            );
            let note = rule.meta.at(named.at).warning(told);
            let note = note.with_fix(match tls.value.mode {
                ClientTlsMode::Mutual => {
                    "for pods write clientCertificate, privateKey and caCertificates, files below \
                     credentials_dir of their nodes"
                }
                ClientTlsMode::Simple | ClientTlsMode::Disable | ClientTlsMode::IstioMutual => {
                    "for pods write configmap://NAME, or caCertificates, a file below \
                     credentials_dir of their nodes"
                }
            });
            notes.push(note.coded(Code::Meaning).of(&object));
        }
    }
}

/// TLS at every level of a policy.
fn originated(policy: &TrafficPolicy) -> impl Iterator<Item = &Spanned<ClientTls>> {
    let of_ports = policy.port_level_settings.iter().filter_map(|port| port.value.tls.as_ref());
    policy.tls.iter().chain(of_ports)
}

/// The Secret that is meant to be used, and not a `ConfigMap`.
fn named_secret(tls: &ClientTls) -> Option<&Spanned<String>> {
    let is_spoken = matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
    let named = tls.credential_name.as_ref().filter(|name| is_spoken && !name.value.is_empty())?;
    (own_secret(&named.value).0 == Holder::Secret).then_some(named)
}

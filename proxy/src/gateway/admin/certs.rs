//! `/certs`: certificates that are held, and what they say.
use super::{Admin, Answer};
use crate::admin::when::rfc3339;
use culvert_identity::edge::facts::{Said, Shown};
use culvert_model::http::{
    secret::Secret,
    tls::{CertificateSource, DownstreamTransport, Trust},
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

const DAY: i64 = 24 * 60 * 60;

/// Certificates that belong together: one of our own, or those that are trusted.
struct Held {
    name: Arc<str>,
    trusted: Vec<Said>,
    own: Option<Said>,
}

pub(super) fn answer(admin: &Admin) -> Answer {
    let now = now();
    let list =
        |name: &str, of: &[Said]| of.iter().map(|said| shown(name, said, now)).collect::<Vec<_>>();
    let certificates = held(admin).into_iter().map(|Held { name, trusted, own }| {
        json!({ "ca_cert": list(&name, &trusted), "cert_chain": list(&name, own.as_slice()) })
    });
    Answer::json(&json!({ "certificates": certificates.collect::<Vec<_>>() }))
}

/// Until the first of our own expires; `None` without any.
pub(in crate::gateway) fn days(admin: &Admin) -> Option<u64> {
    let now = now();
    let own = held(admin).into_iter().filter_map(|held| held.own);
    own.map(|said| left(&said, now)).min().map(|days| u64::try_from(days).unwrap_or(0))
}

fn held(admin: &Admin) -> Vec<Held> {
    let published = admin.around.shared.snapshot.pin();
    let mut all = Vec::new();
    for (name, secret) in published.value.secrets().iter() {
        all.extend(of_secret(name, &secret.value));
    }
    for (name, listener) in published.value.listeners().iter() {
        let listener = &listener.value;
        for chain in listener.chains.iter().chain(&listener.default_chain) {
            let DownstreamTransport::Tls(tls) = &chain.transport else { continue };
            all.extend(tls.common.certificates.iter().filter_map(|source| match source {
                CertificateSource::Inline(own) => Some(Held {
                    name: Arc::clone(name),
                    trusted: Vec::new(),
                    own: Some(said(&own.chain)),
                }),
                CertificateSource::Secret(_) => None,
            }));
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn of_secret(name: &Arc<str>, secret: &Secret) -> Option<Held> {
    let name = Arc::clone(name);
    match secret {
        Secret::Certificate(own) => {
            Some(Held { name, trusted: Vec::new(), own: Some(said(&own.chain)) })
        }
        Secret::Validation(wanted) => {
            let Some(Trust::Certificates(roots)) = &wanted.trusted else { return None };
            let trusted = roots.iter().map(|root| said(std::slice::from_ref(root))).collect();
            Some(Held { name, trusted, own: None })
        }
        Secret::Generic(_) | Secret::TicketKeys(_) => None,
    }
}

fn said(chain: &[Arc<[u8]>]) -> Said {
    Shown::new(chain.iter().map(AsRef::as_ref)).said()
}

/// As `envoy.admin.v3.CertificateDetails`.
fn shown(name: &str, said: &Said, now: i64) -> Value {
    let names = &said.names;
    let dns = names.dns.iter().map(|name| json!({ "dns": name }));
    let uris = names.uris.iter().map(|name| json!({ "uri": name }));
    let ips = names.ips.iter().map(|ip| json!({ "ip_address": ip.to_string() }));
    let when = |at: i64| rfc3339(u64::try_from(at).unwrap_or(0));
    json!({
        "path": name,
        "serial_number": said.serial,
        "subject_alt_names": dns.chain(uris).chain(ips).collect::<Vec<_>>(),
        "days_until_expiration": left(said, now).max(0).to_string(),
        "valid_from": when(said.not_before),
        "expiration_time": when(said.not_after),
    })
}

fn left(said: &Said, now: i64) -> i64 {
    said.not_after.saturating_sub(now) / DAY
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

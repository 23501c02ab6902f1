//! What a node's certificates are like.
use super::{view, when::rfc3339};
use culvert_identity::{
    armor,
    store::{Identities, Status},
};
use culvert_telemetry::{chain::Chain, metrics::CertificateSample};
use std::{
    slice,
    time::{SystemTime, UNIX_EPOCH},
};

/// One that has less than this part of its life left was not renewed when it should have been.
const LATE: u64 = 4;

/// All of them, and who is believed.
pub(super) fn all(identities: &Identities) -> view::Certificates {
    let now = now();
    let certificates = identities.status();
    let roots = identities.trust().pin();
    view::Certificates {
        certificates: certificates.iter().map(|status| certificate(status, now)).collect(),
        roots: roots.value.roots().iter().map(|root| armor::write(slice::from_ref(root))).collect(),
    }
}

/// Those that somebody should look at.
pub(super) fn ailing(identities: &Identities) -> Vec<view::Certificate> {
    let now = now();
    let all = identities.status();
    all.iter().filter(|status| is_ailing(status, now)).map(|s| certificate(s, now)).collect()
}

/// For the metrics.
pub(super) fn samples(identities: &Identities) -> Vec<CertificateSample> {
    let all = identities.status().into_iter();
    all.map(|Status { identity, certificate, .. }| CertificateSample {
        identity: identity.to_string(),
        not_after: certificate.map(|certificate| certificate.validity().not_after.as_secs()),
    })
    .collect()
}

fn is_ailing(status: &Status, now: u64) -> bool {
    match &status.certificate {
        Some(certificate) => {
            let validity = certificate.validity();
            let left = validity.not_after.as_secs().saturating_sub(now);
            left < validity.length().as_secs() / LATE
        }
        // Without a failure it was just asked for.
        None => status.failure.is_some(),
    }
}

fn certificate(status: &Status, now: u64) -> view::Certificate {
    let Status { identity, certificate, failure } = status;
    let validity = certificate.as_ref().map(|certificate| certificate.validity());
    let state = match (validity, failure) {
        (Some(validity), _) if validity.not_after.as_secs() < now => "expired",
        (Some(_), _) => "valid",
        (None, Some(_)) => "missing",
        (None, None) => "asked",
    };
    view::Certificate {
        identity: identity.to_string(),
        state: state.to_owned(),
        serial: certificate.as_ref().map(|certificate| certificate.serial().to_owned()),
        not_before: validity.map(|validity| rfc3339(validity.not_before.as_secs())),
        not_after: validity.map(|validity| rfc3339(validity.not_after.as_secs())),
        expires_in_seconds: validity.map(|validity| left(validity.not_after.as_secs())),
        failure: failure.as_ref().map(|failure| Chain(&**failure).to_string()),
    }
}

/// Seconds until then; less than none when it is past.
pub(super) fn left(end: u64) -> i64 {
    i64::try_from(i128::from(end) - i128::from(now())).unwrap_or(i64::MAX)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

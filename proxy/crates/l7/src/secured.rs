//! What a handshake told, as logs and rules see it.
use culvert_identity::edge::facts::{Shown, TlsFacts};
use culvert_policy::http::facts::{Certificate, Tls};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What is known of a connection over TLS.
pub(crate) fn told(facts: &TlsFacts, local: Option<Arc<Certificate>>, validated: bool) -> Tls {
    let cipher = facts.cipher.as_deref().unwrap_or_default();
    Tls {
        version: facts.version,
        cipher: as_openssl(cipher).into(),
        session: "".into(),
        group: facts.group,
        local,
        peer: facts.peer.as_deref().map(|peer| Arc::new(certificate(peer))),
        validated: validated && facts.peer.is_some(),
        chain: Arc::default(),
    }
}

/// All that a certificate says.
pub(crate) fn certificate(shown: &Shown) -> Certificate {
    let said = shown.said();
    let list = |names: &[String]| names.iter().map(|name| Arc::from(&**name)).collect();
    Certificate {
        uris: list(&said.names.uris),
        names: list(&said.names.dns),
        addresses: said.names.ips.iter().map(|ip| ip.to_string().into()).collect(),
        emails: list(&said.names.emails),
        others: said.names.others.iter().map(|(_, text)| Arc::from(&**text)).collect(),
        subject: said.subject.into(),
        issuer: said.issuer.into(),
        serial: said.serial.into(),
        sha1: shown.fingerprint_sha1().into(),
        sha256: shown.fingerprint().into(),
        pem: shown.escaped_pem(false).into(),
        pem_chain: shown.escaped_pem(true).into(),
        validity: moment(said.not_before).zip(moment(said.not_after)),
    }
}

fn moment(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(distance),
        _ => SystemTime::UNIX_EPOCH.checked_sub(distance),
    }
}

/// IANA's name as OpenSSL has it: that of TLS 1.3 is the same.
fn as_openssl(cipher: &str) -> String {
    let Some((exchange, rest)) = cipher.split_once("_WITH_") else { return cipher.to_owned() };
    let exchange = exchange.trim_start_matches("TLS_").replace('_', "-");
    let rest = match rest.strip_prefix("CHACHA20_POLY1305") {
        Some(_) => "CHACHA20-POLY1305".to_owned(),
        None => rest.replacen("AES_", "AES", 1).replace('_', "-"),
    };
    format!("{exchange}-{rest}")
}

#[cfg(test)]
mod tests {
    use super::as_openssl;

    #[test]
    fn ciphers_have_the_names_that_people_know() {
        for (iana, openssl) in [
            ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ] {
            assert_eq!(as_openssl(iana), openssl);
        }
    }
}

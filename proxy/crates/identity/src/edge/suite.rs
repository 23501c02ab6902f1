//! Versions, cipher suites and curves, by the names that `BoringSSL` has for them.
use super::EdgeError;
use culvert_model::http::tls::{CommonTls, TlsVersion};
use rustls::{
    SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    version::{TLS12, TLS13},
};
use rustls_pki_types::CertificateDer;
use std::{fs, path::PathBuf, sync::Arc};

use aws_lc_rs::{cipher_suite as cipher, kx_group as group};

pub(super) const KNOWN_SUITES: &str =
    "ECDHE-{ECDSA,RSA}-{AES128-GCM-SHA256, AES256-GCM-SHA384, CHACHA20-POLY1305}";

pub(super) const KNOWN_CURVES: &str = "X25519MLKEM768, X25519, P-256 and P-384";

/// Suites of TLS 1.2; those of 1.3 are all spoken, whatever is asked for.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", cipher::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-AES128-GCM-SHA256", cipher::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", cipher::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES256-GCM-SHA384", cipher::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", cipher::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", cipher::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Suites of TLS 1.3, in the order in which we like them.
const NEWEST: [SupportedCipherSuite; 3] = [
    cipher::TLS13_AES_128_GCM_SHA256,
    cipher::TLS13_AES_256_GCM_SHA384,
    cipher::TLS13_CHACHA20_POLY1305_SHA256,
];

/// The cryptography of a context, and the versions it speaks.
///
/// Suites and curves that nobody should use any more are passed over as long as another is left.
pub(super) fn of(
    common: &CommonTls,
) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), EdgeError> {
    let CommonTls { min, max, ciphers, curves, .. } = common;
    let spoken = |version| *min <= version && version <= *max;
    let mut versions = Vec::new();
    let mut suites = Vec::new();
    if spoken(TlsVersion::V1_3) {
        versions.push(&TLS13);
        suites.extend(NEWEST);
    }
    if spoken(TlsVersion::V1_2) {
        versions.push(&TLS12);
        suites.extend(older(ciphers)?);
    }
    if versions.is_empty() {
        return Err(EdgeError::NoVersion);
    }
    let provider = CryptoProvider {
        cipher_suites: suites,
        kx_groups: groups(curves)?,
        ..aws_lc_rs::default_provider()
    };
    Ok((Arc::new(provider), versions))
}

/// `[A|B]` are several of one preference.
fn older(names: &[Arc<str>]) -> Result<Vec<SupportedCipherSuite>, EdgeError> {
    if names.is_empty() {
        return Ok(SUITES.map(|(_, suite)| suite).to_vec());
    }
    let single = names.iter().flat_map(|names| names.trim_matches(['[', ']']).split('|'));
    let known = |name: &str| SUITES.iter().find(|(known, _)| *known == name).map(|(_, is)| *is);
    let found: Vec<_> = single.filter_map(known).collect();
    if found.is_empty() { Err(EdgeError::NoSuite(names.join(", "))) } else { Ok(found) }
}

fn groups(names: &[Arc<str>]) -> Result<Vec<&'static dyn SupportedKxGroup>, EdgeError> {
    let all = [group::X25519MLKEM768, group::X25519, group::SECP256R1, group::SECP384R1];
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let known = |name: &Arc<str>| match &**name {
        "X25519MLKEM768" => Some(group::X25519MLKEM768),
        "X25519" => Some(group::X25519),
        "P-256" | "prime256v1" | "secp256r1" => Some(group::SECP256R1),
        "P-384" | "secp384r1" => Some(group::SECP384R1),
        _ => None,
    };
    let found: Vec<_> = names.iter().filter_map(known).collect();
    if found.is_empty() { Err(EdgeError::NoCurve(names.join(", "))) } else { Ok(found) }
}

/// Whom the operating system trusts: one file of PEM, wherever this system has it, or where
/// `SSL_CERT_FILE` says.
pub(super) fn system_roots() -> Result<Vec<CertificateDer<'static>>, String> {
    const PLACES: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let place = named.or_else(|| PLACES.iter().map(PathBuf::from).find(|place| place.exists()));
    let place = place.ok_or_else(|| format!("there is none of {}", PLACES.join(", ")))?;
    let text = fs::read(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    crate::armor::certificates(&text).map_err(|error| format!("{}: {error}", place.display()))
}

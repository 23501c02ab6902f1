//! PEM, and hashes in hex or base64.
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::sync::Arc;

/// DER of each certificate of a PEM file; other blocks are passed over.
///
/// # Errors
///
/// When there is none, or the file is not PEM.
pub fn certificates(text: &[u8]) -> Result<Arc<[Arc<[u8]>]>, String> {
    blocks(text, &["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"], "certificate")
}

/// DER of each revocation list of a PEM file.
///
/// # Errors
///
/// When there is none, or the file is not PEM.
pub fn revocation_lists(text: &[u8]) -> Result<Arc<[Arc<[u8]>]>, String> {
    blocks(text, &["X509 CRL"], "revocation list")
}

fn blocks(text: &[u8], tags: &[&str], what: &str) -> Result<Arc<[Arc<[u8]>]>, String> {
    let parsed = pem::parse_many(text).map_err(|error| format!("is not PEM: {error}"))?;
    let blocks: Arc<[Arc<[u8]>]> = parsed
        .into_iter()
        .filter(|block| tags.contains(&block.tag()))
        .map(|block| block.into_contents().into())
        .collect();
    if blocks.is_empty() { Err(format!("has no {what} in PEM")) } else { Ok(blocks) }
}

/// SHA-256 in base64, or in hex with or without colons.
pub(super) fn hash(text: &str) -> Result<[u8; 32], String> {
    let hex: String = text.chars().filter(|c| *c != ':').collect();
    let from_hex = || -> Option<Vec<u8>> {
        let digits: Option<Vec<u32>> = hex.chars().map(|c| c.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() == 64)?;
        digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect()
    };
    from_hex()
        .or_else(|| STANDARD.decode(text).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "is no SHA-256 in hex or base64".to_owned())
}

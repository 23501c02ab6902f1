//! PEM, the ASCII armour of certificates.
use pem::{EncodeConfig, LineEnding, Pem};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _};

/// Why a text is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("not well-formed PEM: {0}")]
    Syntax(String),
    #[error("holds no certificate")]
    NoCertificate,
}

/// The certificates of a PEM text, in its order; other blocks are passed over.
///
/// # Errors
///
/// When the text is broken or holds none.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PemError::Syntax(error.to_string()))?;
    if found.is_empty() {
        return Err(PemError::NoCertificate);
    }
    Ok(found)
}

/// The revocation lists of a PEM text; a file that is not PEM is taken as one list in DER.
///
/// # Errors
///
/// When the text is broken.
pub fn revocation_lists(
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    if !text.windows(5).any(|window| window == b"-----") && !text.trim_ascii().is_empty() {
        return Ok(vec![text.to_vec().into()]);
    }
    CertificateRevocationListDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| PemError::Syntax(error.to_string()))
}

/// `certificates` as PEM, in their order.
#[must_use]
pub fn write(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|der| block("CERTIFICATE", der)).collect()
}

/// One block, with the line ends of Unix.
pub(crate) fn block(tag: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

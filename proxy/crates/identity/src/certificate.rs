//! A certificate of one's own, checked before it is used.
use crate::{
    clock::Clock,
    csr::{Key, KeyError},
    issue::Issued,
    signer::Signer,
    tls,
    trust::{NotTrust, Trust},
    verify::{self, Side, VerifyError},
};
use culvert_model::identity::Identity;
use culvert_runtime::publish::View;
use rustls::{ClientConfig, ServerConfig, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{fmt, sync::Arc, time::Duration};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// From when until when, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: UnixTime,
    pub not_after: UnixTime,
}

/// A certificate of a workload of this node with its key, and the TLS that shows it.
///
/// Made by the keeper; a new one replaces it whole.
pub struct Certificate {
    identity: Identity,
    /// Differs for every certificate of the process; grows.
    generation: u64,
    validity: Validity,
    serial: String,
    signer: Signer,
    server: Arc<ServerConfig>,
    client: ClientConfig,
    trust: View<Trust>,
}

/// Why what an issuer sent is not the certificate that was asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unusable {
    #[error("it holds no certificate")]
    Empty,
    #[error("the certificate cannot be read: {0}")]
    Encoding(String),
    #[error("the certificate is for another key")]
    OtherKey,
    #[error("the certificate is for {}, not for {asked}", verify::list(.got))]
    OtherIdentity { asked: Identity, got: Vec<Identity> },
    #[error("its roots cannot be used")]
    Roots(#[from] NotTrust),
    #[error("the certificate does not lead to the roots that came with it")]
    Chain(#[from] VerifyError),
    #[error("its key cannot be used")]
    Key(#[from] KeyError),
    #[error("TLS does not take it: {0}")]
    Tls(String),
}

/// What a certificate is made of, before it is checked.
pub(crate) struct Parts<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) generation: u64,
    pub(crate) key: &'a Key,
    pub(crate) issued: Issued,
}

impl Validity {
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let (from, to) = (certificate.validity().not_before, certificate.validity().not_after);
        Self { not_before: time(from.timestamp()), not_after: time(to.timestamp()) }
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        until(self.not_before, self.not_after)
    }

    pub fn has_ended(&self, now: UnixTime) -> bool {
        now.as_secs() > self.not_after.as_secs()
    }
}

impl Certificate {
    /// Checks what was issued and makes TLS of it.
    ///
    /// # Errors
    ///
    /// When it is not what was asked for, or would not convince a peer with the same roots.
    pub(crate) fn try_new(
        parts: Parts<'_>,
        trust: View<Trust>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Unusable> {
        let Parts { identity, generation, key, issued: Issued { chain, roots } } = parts;
        let (leaf, intermediates) = chain.split_first().ok_or(Unusable::Empty)?;
        let (validity, serial) = read(leaf)?;
        let got = verify::identities(leaf)?;
        if got.as_slice() != [identity.clone()] {
            return Err(Unusable::OtherIdentity { asked: identity.clone(), got });
        }
        // Peers that believe these roots must accept it, as a client's and as a server's.
        let believed = Trust::new(&roots)?;
        for side in [Side::Client, Side::Server] {
            verify::chain(&believed, leaf, intermediates, side, clock.now())?;
        }
        let certified = CertifiedKey::new(chain.clone(), key.signing_key()?);
        certified.keys_match().map_err(|_mismatch| Unusable::OtherKey)?;
        let signer = Signer::new(certified);
        let server = tls::server_config(&signer, identity, trust.clone(), clock)
            .map_err(|error| Unusable::Tls(error.to_string()))?;
        let client =
            tls::client_config(&signer, clock).map_err(|error| Unusable::Tls(error.to_string()))?;
        let identity = identity.clone();
        let server = Arc::new(server);
        Ok(Self { identity, generation, validity, serial, signer, server, client, trust })
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// In hexadecimal, as tools print it.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The leaf, then what leads from it to a root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        self.signer.chain()
    }

    /// For those who sign with the key and must not have it.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Shows this certificate to clients, and asks them for theirs.
    pub fn server_config(&self) -> &Arc<ServerConfig> {
        &self.server
    }

    /// Shows this certificate to servers, of which it wants one of the `expected`.
    pub fn client_config(&self, expected: Arc<[Identity]>) -> Arc<ClientConfig> {
        let mut config = self.client.clone();
        let verifier = verify::ServerVerifier::new(self.trust.clone(), expected);
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        Arc::new(config)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { identity, generation, validity, serial, .. } = self;
        f.debug_struct("Certificate")
            .field("identity", identity)
            .field("generation", generation)
            .field("serial", serial)
            .field("validity", validity)
            .finish_non_exhaustive()
    }
}

/// The time from `from` to `to`, none when `to` is the earlier.
pub(crate) fn until(from: UnixTime, to: UnixTime) -> Duration {
    Duration::from_secs(to.as_secs().saturating_sub(from.as_secs()))
}

/// Validity and serial number of a certificate.
pub(crate) fn read(der: &CertificateDer<'_>) -> Result<(Validity, String), Unusable> {
    let (_, read) =
        X509Certificate::from_der(der).map_err(|error| Unusable::Encoding(error.to_string()))?;
    Ok((Validity::of(&read), read.raw_serial_as_string()))
}

/// A time before 1970 counts as 1970.
fn time(timestamp: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(timestamp).unwrap_or(0)))
}

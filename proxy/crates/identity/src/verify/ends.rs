//! The checks as rustls asks for them.
use super::{Side, VerifyError, believed::Believed, chain, identities, of_domain};
use crate::{tls, trust::Trust};
use culvert_model::identity::Identity;
use culvert_runtime::publish::View;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;

/// What all say of signatures, in whichever trait: TLS 1.3 by our algorithms, and no TLS 1.2.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is not spoken".to_owned()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            rustls::crypto::verify_tls13_signature(message, cert, signed, tls::algorithms())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            tls::algorithms().supported_schemes()
        }
    };
}

/// Checks servers.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    trust: View<Trust>,
    expected: Arc<[Identity]>,
}

/// Checks clients.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    trust: View<Trust>,
    trust_domain: Arc<str>,
    /// Whether a client without a certificate is refused.
    mandatory: bool,
    believed: Believed,
}

/// Checks a control plane that goes by the name one dials.
#[derive(Debug)]
pub(crate) struct NamedVerifier {
    trust: Trust,
}

impl ServerVerifier {
    pub(crate) fn new(trust: View<Trust>, expected: Arc<[Identity]>) -> Self {
        Self { trust, expected }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        chain(&self.trust.pin().value, leaf, intermediates, Side::Server, now)?;
        let got = identities(leaf)?;
        match got.iter().any(|one| self.expected.contains(one)) {
            true => Ok(()),
            false if got.is_empty() => Err(VerifyError::NoIdentity),
            false => Err(VerifyError::Unexpected { got, expected: self.expected.to_vec() }),
        }
    }
}

impl ClientVerifier {
    /// Wants clients of the trust domain of `own`.
    pub(crate) fn new(trust: View<Trust>, own: &Identity) -> Self {
        Self {
            trust,
            trust_domain: own.trust_domain().into(),
            mandatory: true,
            believed: Believed::default(),
        }
    }

    /// Wants clients that show a certificate to be of `trust_domain`.
    pub(crate) fn optional(trust: View<Trust>, trust_domain: &str) -> Self {
        Self {
            trust,
            trust_domain: trust_domain.into(),
            mandatory: false,
            believed: Believed::default(),
        }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        self.believed.verify(&self.trust.pin(), leaf, intermediates, now)?;
        of_domain(leaf, &self.trust_domain)
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl NamedVerifier {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { trust }
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        chain(&self.trust, leaf, intermediates, Side::Server, now)?;
        let leaf = webpki::EndEntityCert::try_from(leaf)?;
        let is = leaf.verify_is_valid_for_subject_name(name);
        is.map_err(|_other| VerifyError::OtherName(name.to_str().into_owned()))
    }
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, intermediates, name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for ClientVerifier {
    /// None: a client of the mesh has one certificate to show.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(leaf, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

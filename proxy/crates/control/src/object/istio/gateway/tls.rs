//! TLS that a gateway speaks with strangers.
use crate::object::{fault::advice, spanned::Spanned};
use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTls {
    pub https_redirect: bool,
    pub mode: Option<Spanned<ServerTlsMode>>,
    pub server_certificate: Option<Spanned<String>>,
    pub private_key: Option<Spanned<String>>,
    pub ca_certificates: Option<Spanned<String>>,
    pub ca_crl: Option<Spanned<String>>,
    pub credential_name: Option<Spanned<String>>,
    pub credential_names: Option<Spanned<Pair<String>>>,
    pub ca_cert_credential_name: Option<Spanned<String>>,
    pub tls_certificates: Option<Spanned<Pair<Certificate>>>,
    pub subject_alt_names: Vec<String>,
    pub verify_certificate_spki: Vec<String>,
    pub verify_certificate_hash: Vec<String>,
    pub min_protocol_version: Option<Spanned<TlsVersion>>,
    pub max_protocol_version: Option<Spanned<TlsVersion>>,
    pub cipher_suites: Vec<Spanned<String>>,
    pub insecure_skip_verify: Option<Spanned<bool>>,
}

/// Who ends it, and who shows a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerTlsMode {
    /// It is passed on by the name asked for.
    #[default]
    Passthrough,
    Simple,
    Mutual,
    /// It is passed on to whatever service the name says.
    AutoPassthrough,
    /// With the certificates of the mesh.
    IstioMutual,
    OptionalMutual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "TLS_AUTO")]
    Auto,
    #[serde(rename = "TLSV1_0")]
    V1_0,
    #[serde(rename = "TLSV1_1")]
    V1_1,
    #[serde(rename = "TLSV1_2")]
    V1_2,
    #[serde(rename = "TLSV1_3")]
    V1_3,
}

/// Files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificate {
    pub server_certificate: Option<String>,
    pub private_key: Option<String>,
    pub ca_certificates: Option<String>,
}

/// One, or one of each of two kinds of keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<T>", bound = "T: Deserialize<'de>")]
pub struct Pair<T>(pub Vec<T>);

impl ServerTls {
    #[must_use]
    pub fn mode(&self) -> ServerTlsMode {
        self.mode.as_ref().map_or(ServerTlsMode::default(), |mode| mode.value)
    }
}

impl ServerTlsMode {
    /// Whether it ends at the gateway.
    #[must_use]
    pub const fn ends_here(self) -> bool {
        match self {
            Self::Simple | Self::Mutual | Self::IstioMutual | Self::OptionalMutual => true,
            Self::Passthrough | Self::AutoPassthrough => false,
        }
    }
}

impl<T> TryFrom<Vec<T>> for Pair<T> {
    type Error = String;

    fn try_from(all: Vec<T>) -> Result<Self, String> {
        match all.len() {
            1 | 2 => Ok(Self(all)),
            many => Err(advice(format_args!("want one or two, not {many}"), "one RSA, one ECDSA")),
        }
    }
}

//! TLS that is spoken to a service.
use crate::object::spanned::Spanned;
use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTls {
    pub mode: ClientTlsMode,
    pub client_certificate: Option<Spanned<String>>,
    pub private_key: Option<Spanned<String>>,
    pub ca_certificates: Option<Spanned<String>>,
    pub ca_crl: Option<Spanned<String>>,
    pub credential_name: Option<Spanned<String>>,
    pub subject_alt_names: Vec<String>,
    pub sni: Option<String>,
    pub insecure_skip_verify: Option<bool>,
}

/// Who speaks it, and with which certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// Nobody.
    #[default]
    Disable,
    Simple,
    /// With a certificate of the client's.
    Mutual,
    /// With those of the mesh.
    IstioMutual,
}

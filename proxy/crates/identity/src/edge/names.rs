//! The names in a certificate.
use culvert_model::http::tls::{SanKind, SanMatch};
use std::net::IpAddr;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

/// Alternative names of a certificate, by kind, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub uris: Vec<String>,
    pub dns: Vec<String>,
    pub emails: Vec<String>,
    pub ips: Vec<IpAddr>,
    /// OID and text.
    pub others: Vec<(String, String)>,
}

impl Names {
    /// Those of a certificate in DER; `None`: it is no certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut names = Self::default();
        let said = certificate.subject_alternative_name().ok()?;
        for name in said.iter().flat_map(|said| &said.value.general_names) {
            names.add(name);
        }
        Some(names)
    }

    fn add(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::DNSName(dns) => self.dns.push((*dns).to_owned()),
            GeneralName::RFC822Name(email) => self.emails.push((*email).to_owned()),
            GeneralName::IPAddress(bytes) => self.ips.extend(ip(bytes)),
            GeneralName::OtherName(oid, value) => {
                // An explicit tag and that of the string, two bytes each.
                if let Some(text) = value.get(4..).and_then(|text| str::from_utf8(text).ok()) {
                    self.others.push((oid.to_id_string(), text.to_owned()));
                }
            }
            GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => {}
        }
    }

    /// Whether a name is what is looked for.
    #[must_use]
    pub fn are(&self, wanted: &SanMatch) -> bool {
        let SanMatch { kind, value } = wanted;
        let any = |names: &[String]| names.iter().any(|name| value.matches(name.as_bytes()));
        let dns = || self.dns.iter().any(|name| is_dns(name, wanted));
        let ips = || self.ips.iter().any(|ip| value.matches(ip.to_string().as_bytes()));
        match kind {
            SanKind::Any => any(&self.uris) || dns() || any(&self.emails) || ips(),
            SanKind::Uri => any(&self.uris),
            SanKind::Dns => dns(),
            SanKind::Email => any(&self.emails),
            SanKind::Ip => ips(),
            SanKind::Other(oid) => {
                let of_kind = self.others.iter().filter(|(is, _)| **is == **oid);
                of_kind.map(|(_, text)| text).any(|text| value.matches(text.as_bytes()))
            }
        }
    }

    /// Whether `host` is one of the DNS names, or an address of it.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(ip) => self.ips.contains(&ip),
            Err(_) => self.dns.iter().any(|name| covers(name, host)),
        }
    }
}

/// A name with a wildcard stands for all it covers, if a whole name is looked for.
fn is_dns(name: &str, wanted: &SanMatch) -> bool {
    use culvert_model::http::matcher::StringPattern;
    if wanted.value.matches(name.as_bytes()) {
        return true;
    }
    match wanted.value.pattern() {
        StringPattern::Exact(host) => covers(name, host),
        StringPattern::Prefix(_)
        | StringPattern::Suffix(_)
        | StringPattern::Contains(_)
        | StringPattern::Regex(_) => false,
    }
}

/// RFC 6125: case does not count, and `*.` stands for one label.
fn covers(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(domain) = name.strip_prefix("*.") else { return false };
    let rest = host.split_once('.').filter(|(label, _)| !label.is_empty());
    rest.is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

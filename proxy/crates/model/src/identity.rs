//! Who a workload is.
use std::{fmt, str::FromStr, sync::Arc};

/// A workload's name as its certificate carries it.
///
/// Written `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. Once made it is well
/// formed: each part is non-empty, at most 255 bytes, and without `/` (SPIFFE-ID standard, §2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    uri: Arc<str>,
    /// The length of the trust domain.
    domain: u8,
    /// The length of the namespace.
    namespace: u8,
}

const SCHEME: &str = "spiffe://";
const NAMESPACE: &str = "/ns/";
const ACCOUNT: &str = "/sa/";

/// Why a string is not an [`Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnIdentity {
    #[error("does not start with spiffe://")]
    Scheme,
    #[error("path is not /ns/<namespace>/sa/<service account>")]
    Path,
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("{0} is longer than 255 bytes")]
    TooLong(&'static str),
    #[error("{0} contains a slash")]
    Slash(&'static str),
}

impl Identity {
    /// Makes an identity of its parts.
    ///
    /// # Errors
    ///
    /// When a part is empty, longer than 255 bytes or contains a slash.
    pub fn try_new(
        trust_domain: &str,
        namespace: &str,
        service_account: &str,
    ) -> Result<Self, NotAnIdentity> {
        let domain = part("trust domain", trust_domain)?;
        let namespace_length = part("namespace", namespace)?;
        part("service account", service_account)?;
        let uri = [SCHEME, trust_domain, NAMESPACE, namespace, ACCOUNT, service_account].concat();
        Ok(Self { uri: uri.into(), domain, namespace: namespace_length })
    }

    pub fn trust_domain(&self) -> &str {
        self.between(SCHEME.len(), self.domain_end())
    }

    pub fn namespace(&self) -> &str {
        self.between(self.domain_end() + NAMESPACE.len(), self.namespace_end())
    }

    pub fn service_account(&self) -> &str {
        self.between(self.namespace_end() + ACCOUNT.len(), self.uri.len())
    }

    /// As certificates have it: with `spiffe://`.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// As policies have it: without `spiffe://`.
    pub fn principal(&self) -> &str {
        self.between(SCHEME.len(), self.uri.len())
    }

    fn domain_end(&self) -> usize {
        SCHEME.len() + usize::from(self.domain)
    }

    fn namespace_end(&self) -> usize {
        self.domain_end() + NAMESPACE.len() + usize::from(self.namespace)
    }

    #[expect(clippy::string_slice, reason = "begins and ends between the parts it was made of")]
    fn between(&self, start: usize, end: usize) -> &str {
        &self.uri[start..end]
    }

    /// For sharing it with others.
    pub(crate) fn uri_mut(&mut self) -> &mut Arc<str> {
        &mut self.uri
    }
}

impl FromStr for Identity {
    type Err = NotAnIdentity;

    fn from_str(s: &str) -> Result<Self, NotAnIdentity> {
        let rest = s.strip_prefix(SCHEME).ok_or(NotAnIdentity::Scheme)?;
        let mut parts = rest.split('/');
        let (Some(td), Some("ns"), Some(ns), Some("sa"), Some(sa), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAnIdentity::Path);
        };
        Self::try_new(td, ns, sa)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The length of a part that may be one.
fn part(name: &'static str, s: &str) -> Result<u8, NotAnIdentity> {
    if s.contains('/') {
        return Err(NotAnIdentity::Slash(name));
    }
    match u8::try_from(s.len()) {
        Ok(0) => Err(NotAnIdentity::Empty(name)),
        Ok(length) => Ok(length),
        Err(_) => Err(NotAnIdentity::TooLong(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let id = Identity::try_new("cluster.local", "shop", "cart").unwrap();
        assert_eq!(id.to_string(), "spiffe://cluster.local/ns/shop/sa/cart");
        let parts = [id.trust_domain(), id.namespace(), id.service_account(), id.principal()];
        assert_eq!(parts, ["cluster.local", "shop", "cart", "cluster.local/ns/shop/sa/cart"]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn refuses_an_empty_namespace_and_a_longer_path() {
        assert_eq!(
            "spiffe://td/ns//sa/x".parse::<Identity>(),
            Err(NotAnIdentity::Empty("namespace"))
        );
        assert_eq!("spiffe://td/ns/a/sa/x/y".parse::<Identity>(), Err(NotAnIdentity::Path));
        assert_eq!("https://td/ns/a/sa/x".parse::<Identity>(), Err(NotAnIdentity::Scheme));
        assert_eq!(Identity::try_new("td", "a/b", "x"), Err(NotAnIdentity::Slash("namespace")));
    }
}

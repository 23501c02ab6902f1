//! Who a workload is.
use std::{fmt, str::FromStr, sync::Arc};

/// A workload's name as its certificate carries it.
///
/// Written `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. Once made it is well
/// formed: each part is non-empty, at most 255 bytes, and without `/` (SPIFFE-ID standard, §2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    trust_domain: Arc<str>,
    namespace: Arc<str>,
    service_account: Arc<str>,
}

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
        Ok(Self {
            trust_domain: part("trust domain", trust_domain)?,
            namespace: part("namespace", namespace)?,
            service_account: part("service account", service_account)?,
        })
    }

    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    /// For sharing them with others.
    pub(crate) fn parts_mut(&mut self) -> [&mut Arc<str>; 3] {
        [&mut self.trust_domain, &mut self.namespace, &mut self.service_account]
    }
}

impl FromStr for Identity {
    type Err = NotAnIdentity;

    fn from_str(s: &str) -> Result<Self, NotAnIdentity> {
        let rest = s.strip_prefix("spiffe://").ok_or(NotAnIdentity::Scheme)?;
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
        let Self { trust_domain, namespace, service_account } = self;
        write!(f, "spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn part(name: &'static str, s: &str) -> Result<Arc<str>, NotAnIdentity> {
    if s.contains('/') {
        return Err(NotAnIdentity::Slash(name));
    }
    match s.len() {
        0 => Err(NotAnIdentity::Empty(name)),
        1..=255 => Ok(s.into()),
        _ => Err(NotAnIdentity::TooLong(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let id = Identity::try_new("cluster.local", "shop", "cart").unwrap();
        assert_eq!(id.to_string(), "spiffe://cluster.local/ns/shop/sa/cart");
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

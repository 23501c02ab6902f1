//! An authority as three texts with names, for whoever keeps it elsewhere than in files.
use super::{Authority, AuthorityError};
use crate::armor;
use std::collections::BTreeMap;

/// The names that Istio's `cacerts` has: what signs and what leads from it to a root; its key; all
/// roots to believe.
pub const CHAIN: &str = "ca-cert.pem";
pub const KEY: &str = "ca-key.pem";
pub const ROOTS: &str = "root-cert.pem";

/// Why there is no authority in what somebody keeps.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// The three texts; the key among them is as secret as it is.
#[must_use]
pub fn write(authority: &Authority) -> BTreeMap<String, Vec<u8>> {
    let chain = armor::write(&authority.certified());
    let key = authority.signing.key().serialize_pem();
    let roots = roots(authority);
    let texts = [(CHAIN, chain), (KEY, key), (ROOTS, roots)];
    texts.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

/// All roots to believe, in PEM.
#[must_use]
pub fn roots(authority: &Authority) -> String {
    armor::write(&authority.roots)
}

/// The authority that the three texts are.
///
/// # Errors
///
/// When one is missing, or they do not fit together.
pub fn read(
    trust_domain: &str,
    texts: &BTreeMap<String, Vec<u8>>,
) -> Result<Authority, BundleError> {
    let text = |name: &'static str| texts.get(name).ok_or(BundleError::Missing(name));
    let (chain, key, roots) = (text(CHAIN)?, text(KEY)?, text(ROOTS)?);
    let key = str::from_utf8(key).map_err(|error| AuthorityError::Key(error.to_string()))?;
    Ok(Authority::from_pem(trust_domain, key, chain, roots)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    #[test]
    fn what_is_written_is_the_same_authority_when_it_is_read() {
        let made = Authority::new_root("td", SystemClock.now()).unwrap();
        let texts = write(&made);
        let again = read("td", &texts).unwrap();
        assert_eq!((again.roots(), again.validity()), (made.roots(), made.validity()));
        assert_eq!(write(&again), texts);
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        let [one, two] = [(); 2].map(|()| Authority::new_root("td", SystemClock.now()).unwrap());
        let mut texts = write(&one);
        texts.remove(KEY);
        assert_eq!(read("td", &texts).unwrap_err().to_string(), "ca-key.pem is missing");
        texts.insert(KEY.to_owned(), write(&two).remove(KEY).unwrap());
        let error = read("td", &texts).unwrap_err().to_string();
        assert_eq!(error, "its private key is not the one of its certificate");
    }
}

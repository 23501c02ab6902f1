//! Join tokens: a node's first proof of who it is, and whom it may believe; and a gateway's.
//!
//! `culvert1.<claims>.<mac>.<root>…`: claims name one node or gateway and an end; only the control
//! plane, which has the key, can make the mac and check it. The roots let the node believe the control
//! plane from the first byte on; they are not sent. Which tokens are good is in a [`Book`](book::Book).
use crate::{
    secret::{self, SecretError},
    trust::{NotTrust, Trust},
};
use aws_lc_rs::{
    hmac, rand,
    rand::{SecureRandom as _, SystemRandom},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{fmt, path::Path, time::Duration};

pub mod book;

/// What every token starts with.
const VERSION: &str = "culvert1";

/// No token is longer; a root has about half a kilobyte.
pub(crate) const LONGEST: usize = 64 * 1024;

/// No node's name is longer: with what stands before it, it must fit into an identity.
const LONGEST_NAME: usize = 200;

/// Bytes of the key.
const KEY: usize = 32;

/// Bytes that no two tokens share: the second in which it was made, then as many random ones.
const ONCE: usize = 16;

/// The control plane's key: whoever has it can make tokens.
pub struct Key(hmac::Key);

/// A token as a node has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    claims: Claims,
    /// Without the roots.
    bearer: String,
    roots: Vec<CertificateDer<'static>>,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub trust_domain: String,
    /// A node's name, or `NAMESPACE/NAME` of a gateway: see [`Self::whose`].
    pub node: String,
    /// When it was made; the beginning of time where it does not say.
    pub issued: UnixTime,
    /// It is good until then.
    pub expires: UnixTime,
}

/// Whom a token lets one be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    Node(&'a str),
    Gateway { namespace: &'a str, name: &'a str },
}

/// Why a token is none, or not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("it is not a join token")]
    Form,
    #[error(
        "\"{0}\" cannot be the name of a node (want letters, digits, '.', '-' and '_', at most 200), nor NAMESPACE/NAME of a gateway"
    )]
    Node(String),
    #[error("its roots cannot be used")]
    Roots(#[from] NotTrust),
    #[error("the join token was not made by this control plane")]
    Stranger,
    #[error("the join token is for trust domain {0}")]
    OtherTrustDomain(String),
    #[error("the join token for node {node} expired {ago} s ago")]
    Expired { node: String, ago: u64 },
    #[error("the join tokens of node {0} were made void; make a new one")]
    Void(String),
    #[error("there is no randomness")]
    Randomness,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{path} holds no key of join tokens; remove it, and all tokens must be made anew")]
    Content { path: String },
    #[error("there is no randomness")]
    Randomness,
}

impl Key {
    /// Reads the key kept at `path`; makes one first where there is none.
    ///
    /// # Errors
    ///
    /// When the file cannot be used, or others can read it.
    pub fn kept(path: &Path) -> Result<Self, KeyError> {
        Self::read(&Self::text(path)?, path)
    }

    /// What is in the file at `path`, which is made first where there is none.
    fn text(path: &Path) -> Result<String, KeyError> {
        secret::kept(path, Self::made)
    }

    /// A new one, as a file holds it.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn made() -> Result<String, KeyError> {
        let bytes: [u8; KEY] = rand::generate(&SystemRandom::new())
            .map_err(|_unspecified| KeyError::Randomness)?
            .expose();
        Ok(BASE64.encode(bytes) + "\n")
    }

    /// Has the file at `path` hold the key that somebody keeps elsewhere, as a file holds it.
    ///
    /// # Errors
    ///
    /// When it is none, or cannot be written.
    pub fn keep(path: &Path, text: &str) -> Result<(), KeyError> {
        Self::read(text, path)?;
        Ok(secret::replace(path, text)?)
    }

    /// The key that `text`, the content of the file at `path`, is.
    fn read(text: &str, path: &Path) -> Result<Self, KeyError> {
        let bytes = BASE64.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        let content = || KeyError::Content { path: path.display().to_string() };
        Ok(Self::of(&bytes.ok_or_else(content)?))
    }

    /// For who keeps it elsewhere.
    #[must_use]
    pub fn of(bytes: &[u8; KEY]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Makes a token that lets whoever has it be the node of `claims`, and believe `roots`.
    ///
    /// # Errors
    ///
    /// When no node can be called so.
    pub fn mint(&self, claims: &Claims, roots: &[CertificateDer<'_>]) -> Result<String, JoinError> {
        checked(&claims.node)?;
        let Claims { trust_domain, node, issued, expires } = claims;
        let mut once = [0; ONCE];
        let (when, salt) = once.split_at_mut(ONCE / 2);
        when.copy_from_slice(&issued.as_secs().to_be_bytes());
        SystemRandom::new().fill(salt).map_err(|_unspecified| JoinError::Randomness)?;
        let text =
            format!("{trust_domain}\n{node}\n{}\n{}", expires.as_secs(), BASE64.encode(once));
        let signed = format!("{VERSION}.{}", BASE64.encode(text));
        let mac = hmac::sign(&self.0, signed.as_bytes());
        let roots = roots.iter().map(|root| format!(".{}", BASE64.encode(root)));
        Ok(format!("{signed}.{}{}", BASE64.encode(mac.as_ref()), roots.collect::<String>()))
    }

    /// The node that whoever shows `bearer` is; what follows the mac is not looked at.
    ///
    /// # Errors
    ///
    /// When the token was not made with this key for this trust domain, or has expired.
    pub fn verify(
        &self,
        bearer: &str,
        trust_domain: &str,
        now: UnixTime,
    ) -> Result<Claims, JoinError> {
        let Split { claims, signed, mac, .. } = split(bearer)?;
        let mac = BASE64.decode(mac).map_err(|_letters| JoinError::Form)?;
        // Constant in time.
        hmac::verify(&self.0, signed.as_bytes(), &mac)
            .map_err(|_unspecified| JoinError::Stranger)?;
        if claims.trust_domain != trust_domain {
            return Err(JoinError::OtherTrustDomain(claims.trust_domain));
        }
        let ago = now.as_secs().saturating_sub(claims.expires.as_secs());
        match ago {
            0 => Ok(claims),
            _ => Err(JoinError::Expired { node: claims.node, ago }),
        }
    }
}

impl Token {
    /// Reads a token; whether it is good only the control plane can tell.
    ///
    /// # Errors
    ///
    /// When it is none, or has no root.
    pub fn parse(text: &str) -> Result<Self, JoinError> {
        let Split { claims, signed, mac, roots } = split(text.trim())?;
        let root = |text: &str| {
            let der = BASE64.decode(text).map_err(|_letters| JoinError::Form)?;
            Ok(CertificateDer::from(der))
        };
        let roots = roots.split('.').filter(|text| !text.is_empty()).map(root);
        let roots = roots.collect::<Result<Vec<_>, JoinError>>()?;
        Trust::new(&roots)?;
        Ok(Self { claims, bearer: format!("{signed}.{mac}"), roots })
    }

    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The node that it lets one be, or `NAMESPACE/NAME` of the gateway.
    pub fn node(&self) -> &str {
        &self.claims.node
    }

    pub fn trust_domain(&self) -> &str {
        &self.claims.trust_domain
    }

    pub fn expires(&self) -> UnixTime {
        self.claims.expires
    }

    /// Whom the control plane's certificate must lead to.
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// What is shown to the control plane.
    pub fn bearer(&self) -> &str {
        &self.bearer
    }
}

impl Claims {
    /// `good_for` from `now`.
    #[must_use]
    pub fn new(trust_domain: &str, node: &str, now: UnixTime, good_for: Duration) -> Self {
        let expires = now.as_secs().saturating_add(good_for.as_secs());
        let expires = UnixTime::since_unix_epoch(Duration::from_secs(expires));
        let (trust_domain, node) = (trust_domain.to_owned(), node.to_owned());
        Self { trust_domain, node, issued: now, expires }
    }

    /// Whom it lets one be.
    #[must_use]
    pub fn whose(&self) -> Whose<'_> {
        whose(&self.node)
    }
}

/// Who is called so: no node has a slash in its name.
#[must_use]
pub fn whose(node: &str) -> Whose<'_> {
    match node.split_once('/') {
        Some((namespace, name)) => Whose::Gateway { namespace, name },
        None => Whose::Node(node),
    }
}

/// The parts of a token; only the claims are read.
struct Split<'a> {
    claims: Claims,
    /// What the mac is of.
    signed: &'a str,
    mac: &'a str,
    /// With dots between them.
    roots: &'a str,
}

fn split(text: &str) -> Result<Split<'_>, JoinError> {
    if text.len() > LONGEST {
        return Err(JoinError::Form);
    }
    let (version, rest) = text.split_once('.').ok_or(JoinError::Form)?;
    let (body, rest) = rest.split_once('.').ok_or(JoinError::Form)?;
    let (mac, roots) = rest.split_once('.').unwrap_or((rest, ""));
    if version != VERSION {
        return Err(JoinError::Form);
    }
    let signed = text.get(..version.len() + 1 + body.len()).ok_or(JoinError::Form)?;
    let bytes = BASE64.decode(body).map_err(|_letters| JoinError::Form)?;
    let said = str::from_utf8(&bytes).map_err(|_letters| JoinError::Form)?;
    let mut lines = said.split('\n');
    let (Some(trust_domain), Some(node), Some(expires), Some(once), None) =
        (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(JoinError::Form);
    };
    checked(node)?;
    let expires = expires.parse().map_err(|_digits| JoinError::Form)?;
    let expires = UnixTime::since_unix_epoch(Duration::from_secs(expires));
    let (trust_domain, node) = (trust_domain.to_owned(), node.to_owned());
    let claims = Claims { trust_domain, node, issued: issued(once), expires };
    Ok(Split { claims, signed, mac, roots })
}

/// When a token was made; those of before tokens said so count as made before everything.
fn issued(once: &str) -> UnixTime {
    let bytes = BASE64.decode(once).ok();
    let bytes = bytes.filter(|bytes| bytes.len() == ONCE);
    let first = bytes.and_then(|bytes| bytes.first_chunk().copied());
    let secs = first.map_or(0, u64::from_be_bytes);
    UnixTime::since_unix_epoch(Duration::from_secs(secs))
}

/// Whether `text` is meant to be one of these tokens, of whatever version.
pub(crate) fn is_ours(text: &str) -> bool {
    let version = text.split_once('.').and_then(|(version, _)| version.strip_prefix("culvert"));
    version.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn checked(node: &str) -> Result<(), JoinError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let is_fine = match whose(node) {
        Whose::Node(name) => !name.is_empty() && name.chars().all(|c| plain(c) || c == '_'),
        // Without what tells the mesh's own identities from those of workloads.
        Whose::Gateway { namespace, name } => {
            [namespace, name].iter().all(|part| !part.is_empty() && part.chars().all(plain))
        }
    };
    match is_fine && node.len() <= LONGEST_NAME {
        true => Ok(()),
        false => Err(JoinError::Node(node.chars().take(LONGEST_NAME).collect())),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("claims", &self.claims).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Join tokens: what they are made with, and how one is made without a control plane that runs.
use super::Ca;
use culvert_identity::{
    ca::files::{FilesError, kept},
    clock::{Clock as _, SystemClock},
    join::{
        Claims, JoinError,
        book::{BookError, Books},
    },
};
use std::{path::Path, time::Duration};

/// In the folder of what outlives the process: what join tokens are made with.
pub(super) const JOIN_KEY: &str = "join-key";

/// And whose tokens are void.
const VOID_TOKENS: &str = "void-tokens";

/// Mints a join token without a running control plane, from what one would start with.
///
/// # Errors
///
/// When the authority or the key cannot be used, or no node can be called so.
pub fn join_token(
    state_dir: &Path,
    ca: &Ca,
    trust_domain: &str,
    node: &str,
    good_for: Duration,
) -> Result<String, TokenError> {
    let now = SystemClock.now();
    let roots = match ca {
        Ca::Kept(path) => kept(path, trust_domain, now)?.roots().to_vec(),
        Ca::Given(given) => given.read(trust_domain)?.roots().to_vec(),
        Ca::Secret(secret) => return Err(TokenError::Elsewhere(secret.to_string())),
        Ca::Authority(view) => view.pin().value.roots().to_vec(),
    };
    let claims = Claims::new(trust_domain, node, now, good_for);
    Ok(books(state_dir)?.view().pin().value.mint(claims, &roots)?)
}

pub(super) fn books(state_dir: &Path) -> Result<Books, BookError> {
    Books::open(&state_dir.join(JOIN_KEY), &state_dir.join(VOID_TOKENS))
}

/// Why tokens are not void.
#[derive(Debug, thiserror::Error)]
pub enum VoidError {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("the process is being stopped")]
    Ended,
}

/// Why there is no join token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("there is no certificate authority")]
    Authority(#[from] FilesError),
    #[error("there is no key of join tokens")]
    JoinTokens(#[from] BookError),
    #[error("the authority is in {0}: ask a control plane that runs")]
    Elsewhere(String),
    #[error(transparent)]
    Join(#[from] JoinError),
}

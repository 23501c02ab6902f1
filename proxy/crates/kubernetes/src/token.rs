//! Whose token it is that somebody shows: the API server is asked, and its word is kept for a while.
//!
//! A token that says itself that it is of no use is shown to nobody. Of the others each is asked
//! about once at a time, a few at once, and whoever shows bad ones again and again is not asked
//! about for a while: it costs a stranger nothing to make one up.
use crate::{
    client::{Client, JSON},
    fault::Fault,
};
use aws_lc_rs::digest::{SHA256, digest};
use book::{Book, Slot};
use http::Method;
use std::{
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::Semaphore, time};

mod answer;
mod book;
mod claims;

pub use claims::Claims;

/// Where it is asked.
const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// So many tokens are asked about at once.
const AT_ONCE: usize = 32;

/// How long somebody waits at most.
const PATIENCE: Duration = Duration::from_secs(8);

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub namespace: String,
    pub name: String,
}

/// The pod that a token was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub pod: String,
    pub pod_uid: String,
    /// Where that pod is, if the API server says so.
    pub node: Option<String>,
}

/// What a token proves, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub subject: Subject,
    /// Seconds since 1970.
    pub expires: u64,
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is not a token of a service account")]
    Form,
    #[error(
        "the service account's token is meant for {}, not for {want}: project one with that audience",
        if .of.is_empty() { "nobody" } else { .of.as_str() }
    )]
    Audience { of: String, want: String },
    #[error("the token is {of}'s, not {want}'s")]
    Account { of: String, want: Account },
    #[error("the service account's token is bound to no pod: want a projected one")]
    Unbound,
    #[error("the service account's token expired {ago} s ago")]
    Expired { ago: u64 },
    #[error("the API server refuses the token: {0}")]
    Rejected(String),
    #[error("too many bad tokens came from this address; again in a minute")]
    Flood,
    #[error("too many tokens are being asked about; again in a moment")]
    Busy,
    #[error("whose token it is cannot be asked: {0}")]
    Unknown(Fault),
}

/// Asks whose tokens are.
#[derive(Debug)]
pub struct Reviewer {
    client: Client,
    audience: String,
    book: Book,
    seats: Semaphore,
}

impl Refusal {
    /// Nothing is said of the token: it may be good.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Flood | Self::Busy | Self::Unknown(_))
    }
}

impl Reviewer {
    /// Wants tokens that are meant for `audience`.
    pub fn new(client: &Client, audience: &str) -> Self {
        Self {
            client: client.clone(),
            audience: audience.to_owned(),
            book: Book::default(),
            seats: Semaphore::new(AT_ONCE),
        }
    }

    /// What `token`, shown by `from`, proves; it must be of the account `want`.
    ///
    /// # Errors
    ///
    /// When it proves nothing, or the API server does not say.
    pub async fn review(
        &self,
        token: &str,
        want: &Account,
        from: Option<IpAddr>,
    ) -> Result<Proof, Refusal> {
        let claims = Claims::read(token).ok_or(Refusal::Form)?;
        let expires = claims.check(want, &self.audience, unix_now())?;
        let slot = self.book.slot(digest(&SHA256, token.as_bytes()).as_ref(), Instant::now());
        let subject = time::timeout(PATIENCE, self.answer(&slot, (token, want), from)).await;
        Ok(Proof { subject: subject.unwrap_or(Err(Refusal::Busy))?, expires })
    }

    /// Asks once at a time; whoever waited has the same answer.
    async fn answer(
        &self,
        slot: &Arc<Slot>,
        (token, want): (&str, &Account),
        from: Option<IpAddr>,
    ) -> Result<Subject, Refusal> {
        let mut last = slot.last.lock().await;
        if let Some(answer) = last.as_ref().filter(|last| last.is_good(Instant::now())) {
            return answer.said.clone();
        }
        // Of a token that is no new one: it was counted, or is good.
        let is_known = last.as_ref().is_some_and(book::Answer::is_definite);
        let may_ask = || is_known || self.book.may_ask(from, Instant::now());
        if !may_ask() {
            return Err(Refusal::Flood);
        }
        let Ok(_seat) = self.seats.acquire().await else { return Err(Refusal::Busy) };
        // Others of this address may have been bad meanwhile.
        if !may_ask() {
            return Err(Refusal::Flood);
        }
        let said = self.ask(token, want).await;
        let answer = book::Answer::new(said.clone(), Instant::now(), last.as_ref());
        if answer.is_refusal() && !is_known {
            self.book.count(from, Instant::now());
        }
        *last = Some(answer);
        said
    }

    async fn ask(&self, token: &str, want: &Account) -> Result<Subject, Refusal> {
        let question = answer::question(token, &self.audience);
        let answer = self.client.send((Method::POST, PATH), JSON, question).await;
        let answer = answer.map_err(Refusal::Unknown)?;
        answer::judge(&answer, want, &self.audience)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

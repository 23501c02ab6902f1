//! Where requests and connections go.
use super::{
    Fraction,
    rule::{HeaderOps, PathRewrite},
};
use culvert_model::name::ServiceName;
use std::{num::NonZeroU16, sync::Arc, time::Duration};

/// Somebody answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// Never empty; weights whose sum is 0 are as if none had one. None at all: 500.
    pub to: Vec<Weighted>,
    /// For the whole request; `None`: as long as it takes.
    pub timeout: Option<Duration>,
    /// `None`: never.
    pub retry: Option<Retry>,
    pub path: Option<PathRewrite>,
    pub host: Option<Arc<str>>,
    pub mirrors: Vec<Mirror>,
}

/// A share of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighted {
    pub to: Share,
    pub weight: u32,
    pub request: HeaderOps,
    pub response: HeaderOps,
}

/// Who gets a share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    To(Backend),
    /// What is named does not exist, or may not be referred to: 500. Connections are closed.
    Nowhere,
}

/// A service, or some of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    pub service: ServiceName,
    /// `None`: its only port, or else the one that was asked for.
    pub port: Option<NonZeroU16>,
    /// One of its [`Traffic`](super::traffic::Traffic); one that is not there has no endpoints.
    pub subset: Option<Arc<str>>,
}

/// A copy of requests whose answer nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub to: Backend,
    pub share: Fraction,
}

/// When a request that failed is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Beyond the first try; 0: never.
    pub attempts: u32,
    pub per_try: Option<Duration>,
    /// Envoy's names (`5xx`, `connect-failure`, `unavailable`); others are passed over.
    pub on: Vec<Arc<str>>,
    pub statuses: Vec<u16>,
    pub back_off: Option<Duration>,
    /// Not where it was tried already, if that can be.
    pub avoid_previous: bool,
    /// In other localities too.
    pub remote: bool,
}

impl Share {
    pub(crate) fn backend(&self) -> Option<&Backend> {
        match self {
            Self::To(backend) => Some(backend),
            Self::Nowhere => None,
        }
    }
}

impl Retry {
    /// What Istio does when nothing is said.
    #[must_use]
    pub fn standard() -> Self {
        let on = ["connect-failure", "refused-stream", "unavailable", "cancelled"];
        Self {
            attempts: 2,
            per_try: None,
            on: on.map(Arc::from).into(),
            statuses: Vec::new(),
            back_off: None,
            avoid_previous: true,
            remote: false,
        }
    }
}

impl Weighted {
    /// Everything.
    #[must_use]
    pub fn all(to: Share) -> Self {
        let nothing = HeaderOps::default;
        Self { to, weight: 1, request: nothing(), response: nothing() }
    }
}

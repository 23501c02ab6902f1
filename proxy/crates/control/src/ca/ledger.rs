//! What was issued and what was refused, for people.
use culvert_model::identity::Identity;
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// So many refusals are remembered; all are counted and logged.
const REMEMBERED: usize = 50;

/// The books; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    issued: u64,
    refused: u64,
    /// The last one of each identity on each node.
    current: BTreeMap<(Arc<str>, Identity), (String, u64)>,
    refusals: VecDeque<Refusal>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) node: Arc<str>,
    pub(super) identity: Identity,
    pub(super) serial: String,
    pub(super) not_after: u64,
}

/// What was issued last for an identity on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    pub node: String,
    pub identity: String,
    pub serial: String,
    /// Seconds since 1970.
    pub not_after: u64,
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Seconds since 1970.
    pub at: u64,
    pub from: String,
    /// Empty when the caller proved to be none.
    pub node: String,
    pub identity: String,
    pub reason: String,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    pub issued: u64,
    pub refused: u64,
    /// Those that are valid.
    pub certificates: Vec<Certificate>,
    /// The last ones.
    pub refusals: Vec<Refusal>,
}

impl Ledger {
    pub(super) fn issued(&self, issue: Issue, now: u64) {
        let Issue { node, identity, serial, not_after } = issue;
        let mut books = self.0.lock();
        books.issued += 1;
        books.current.insert((node, identity), (serial, not_after));
        // What has expired is of no use to anybody: it costs what a walk costs, now and then.
        if books.issued.is_power_of_two() || books.issued.is_multiple_of(1024) {
            books.current.retain(|_, (_, not_after)| *not_after >= now);
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        let mut books = self.0.lock();
        books.refused += 1;
        books.refusals.push_back(refusal);
        if books.refusals.len() > REMEMBERED {
            books.refusals.pop_front();
        }
    }

    pub fn account(&self, now: u64) -> Account {
        let books = self.0.lock();
        let current = books.current.iter().filter(|(_, (_, not_after))| *not_after >= now);
        let certificates = current.map(|((node, identity), (serial, not_after))| Certificate {
            node: node.to_string(),
            identity: identity.to_string(),
            serial: serial.clone(),
            not_after: *not_after,
        });
        Account {
            issued: books.issued,
            refused: books.refused,
            certificates: certificates.collect(),
            refusals: books.refusals.iter().cloned().collect(),
        }
    }
}

//! The second application: services over HTTP, one of them in three versions, and the manifests
//! that say what becomes of requests to them.
use super::{
    error::StageError,
    peer::client::Browsed,
    stage::{PORT, Stage, listening},
};
use culvert_lab::{LabChild, NodeNs, PodNs};
use std::{fs, path::Path, process::Stdio};

/// Services, versions and subsets.
const MANIFESTS: &str = include_str!("../../../deploy/demo/books.yaml");

pub(super) const NAMESPACE: &str = "books";

/// How many pods there are.
pub(super) const PODS: usize = 7;

/// What is said of one object; the next one of the same takes its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    object: &'static str,
    text: &'static str,
}

macro_rules! step {
    ($object:literal, $file:literal) => {
        Step { object: $object, text: include_str!(concat!("../../../deploy/demo/books/", $file)) }
    };
}

pub(super) const ONE_USER: Step = step!("opinions", "one-user.yaml");
pub(super) const SHARES: Step = step!("opinions", "shares.yaml");
pub(super) const MIRROR: Step = step!("opinions", "mirror.yaml");
pub(super) const DELAY: Step = step!("stars", "delay.yaml");
pub(super) const ABORT: Step = step!("stars", "abort.yaml");
pub(super) const PATIENCE: Step = step!("facts", "patience.yaml");
pub(super) const READERS: Step = step!("readers", "readers.yaml");

/// Pods of the application.
#[derive(Debug)]
pub(super) struct Books {
    /// Looks at pages.
    pub(super) reader: PodNs,
    pub(super) front: PodNs,
    /// The newest version of opinions.
    pub(super) newest: PodNs,
    facts: PodNs,
    opinions: [PodNs; 2],
    stars: PodNs,
    services: Vec<LabChild>,
}

/// Requests, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) server: &'a str,
    pub(super) path: &'a str,
    pub(super) times: u64,
    pub(super) user: &'a str,
    pub(super) method: &'a str,
}

impl<'a> Ask<'a> {
    /// One of anybody.
    pub(super) const fn once(server: &'a str, path: &'a str) -> Self {
        Self { server, path, times: 1, user: "anybody", method: "GET" }
    }

    pub(super) const fn by(self, user: &'a str) -> Self {
        Self { user, ..self }
    }

    pub(super) const fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }
}

impl Books {
    /// Makes the pods; after those of the first application, for the manifests have the addresses.
    ///
    /// # Errors
    ///
    /// When the machine cannot do it.
    pub(super) fn build(a: &NodeNs, b: &NodeNs) -> Result<Self, StageError> {
        let (reader, front) = (a.pod("reader")?, a.pod("front")?);
        let (oldest, stars) = (a.pod("opinions1")?, a.pod("stars")?);
        let (facts, second, newest) = (b.pod("facts")?, b.pod("opinions2")?, b.pod("opinions3")?);
        let opinions = [oldest, second];
        Ok(Self { reader, front, newest, facts, opinions, stars, services: Vec::new() })
    }
}

impl Stage {
    /// Starts the services, and has the mesh take them in.
    ///
    /// # Errors
    ///
    /// When one of them cannot be run, or the mesh does not take them in.
    pub(super) fn open_books(&mut self, others: usize) -> Result<(), StageError> {
        let Books { front, newest, facts, opinions: [oldest, second], stars, .. } = &self.books;
        let services = vec![
            self.book(front, "front", &["facts:80", "opinions:80"])?,
            self.book(facts, "facts", &[])?,
            self.book(oldest, "opinions-v1", &[])?,
            self.book(second, "opinions-v2", &["stars:80"])?,
            self.book(newest, "opinions-v3", &["stars:80"])?,
            self.book(stars, "stars", &[])?,
        ];
        self.books.services = services;
        self.put("books.yaml", MANIFESTS)?;
        self.eventually("both proxies hold the pods of the second application", |stage| {
            Ok(stage.nodes().all(|node| node.tunnels() == others + PODS))
        })
    }

    /// Has the next manifest take effect.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn take(&self, step: Step) -> Result<(), StageError> {
        self.put(&format!("books-{}.yaml", step.object), step.text)
    }

    /// Makes requests from a pod, which knows the services by name.
    ///
    /// # Errors
    ///
    /// When the client cannot be run; what the network did is in the answer.
    pub(super) fn browse(&self, from: &PodNs, ask: &Ask<'_>) -> Result<Browsed, StageError> {
        let Ask { server, path, times, user, method } = ask;
        let times = times.to_string();
        let words = ["browse", server, path, &times, "--user", user, "--method", method];
        self.seen(from, self.named(NAMESPACE, &words)?)
    }

    fn book(&self, pod: &PodNs, name: &str, next: &[&str]) -> Result<LabChild, StageError> {
        let port = PORT.to_string();
        let words = [&["book", name, &port], next].concat();
        let mut command = self.named(NAMESPACE, &words)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        listening(pod, command)
    }

    /// Writes a manifest at one stroke: no half of it is read.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn put(&self, file: &str, text: &str) -> Result<(), StageError> {
        let manifests: &Path = &self.roles.manifests;
        let draft = manifests.with_extension("draft");
        fs::write(&draft, text)?;
        Ok(fs::rename(draft, manifests.join(file))?)
    }
}

//! What all pods of the node share.
use culvert_runtime::accept::Reserve;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// How questions are answered, and how many at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the names of services end with: `cluster.local`.
    pub cluster_domain: Arc<str>,
    /// How many seconds the addresses of services are good for.
    pub ttl: u32,
    /// Answers of resolvers that the node keeps; its pods share them out.
    pub cache: usize,
    /// For how long past its time an answer is told while the resolver does not answer.
    pub stale: Duration,
    /// Questions of the node to resolvers that may be under way.
    pub upstream: usize,
    /// The same of one pod.
    pub upstream_per_pod: usize,
    /// Questions of one pod that may be waiting for an answer.
    pub waiting_per_pod: usize,
    /// Connections of one pod.
    pub connections_per_pod: usize,
}

/// The node's side of it.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
    reserve: Reserve,
    pods: AtomicUsize,
    upstream: Arc<Semaphore>,
}

/// A pod that is counted.
#[derive(Debug)]
pub(crate) struct Member(Arc<Node>);

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_domain: "cluster.local".into(),
            ttl: 30,
            cache: 4096,
            stale: Duration::from_secs(60 * 60),
            upstream: 2048,
            upstream_per_pod: 256,
            waiting_per_pod: 1024,
            connections_per_pod: 64,
        }
    }
}

impl Node {
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn new(settings: Settings) -> io::Result<Arc<Self>> {
        let upstream = Arc::new(Semaphore::new(settings.upstream));
        let reserve = Reserve::new()?;
        Ok(Arc::new(Self { settings, reserve, pods: AtomicUsize::new(0), upstream }))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    pub(crate) fn upstream(&self) -> &Arc<Semaphore> {
        &self.upstream
    }

    pub(crate) fn pods(&self) -> usize {
        self.pods.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Member {
        self.pods.fetch_add(1, Ordering::Relaxed);
        Member(Arc::clone(self))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.pods.fetch_sub(1, Ordering::Relaxed);
    }
}

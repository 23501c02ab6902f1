//! Listeners by address.
use crate::listener::{Active, Others};
use arc_swap::ArcSwap;
use culvert_model::http::listener::Direction;
use culvert_policy::http::directory;
use std::{net::SocketAddr, sync::Arc};

/// Those of a moment; read without a lock.
#[derive(Debug, Default)]
pub(super) struct Directory(ArcSwap<directory::Directory<Arc<Active>>>);

impl Directory {
    /// `all` in the order of their names.
    pub(super) fn set(&self, all: impl Iterator<Item = Arc<Active>>) {
        let mut listed = directory::Directory::default();
        all.for_each(|active| listed.add(&active.config, &active));
        self.0.store(Arc::new(listed));
    }

    /// The listener that takes connections to an address.
    pub(super) fn find(&self, at: SocketAddr, direction: Direction) -> Option<Arc<Active>> {
        self.0.load().find(at, direction).cloned()
    }
}

impl Others for Directory {
    fn at(&self, address: SocketAddr) -> Option<Arc<Active>> {
        self.find(address, Direction::Unspecified)
    }
}

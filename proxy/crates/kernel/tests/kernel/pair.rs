//! Two pods of a node between which connections may go direct.
use crate::{
    traffic::{App, PATIENCE, Proxy, talk},
    world::{Pod, World, options},
};
use culvert_kernel::{DirectEvent, Events, Node, NodeOptions, Verdict};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{net::SocketAddr, os::fd::AsFd as _};

/// Two enrolled pods of a node that beats, with an application in the second.
pub(crate) struct Pair {
    pub(crate) from: Proxy,
    pub(crate) to: Proxy,
    pub(crate) _app: App,
    pub(crate) a: Pod,
    pub(crate) b: Pod,
    pub(crate) node: Node,
    pub(crate) events: Events,
    pub(crate) world: World,
}

impl Pair {
    pub(crate) fn new(test: &str) -> Self {
        Self::with(test, options())
    }

    pub(crate) fn with(test: &str, options: NodeOptions) -> Self {
        let mut world = World::new(test);
        let (a, b) = (world.pod("a"), world.pod("b"));
        let node = world.load_with(&World::capabilities(), options);
        let (from, to) = (Proxy::start(&node, &a.spec()), Proxy::start(&node, &b.spec()));
        let app = App::start(&b.netns, 8080);
        let events = node.events().unwrap();
        assert!(node.beat().unwrap());
        let pair = Self { from, to, _app: app, a, b, node, events, world };
        pair.epochs(1, 1);
        pair
    }

    pub(crate) fn epochs(&self, from: u64, to: u64) {
        let pods = [(self.from.enrolled.pod_id(), from), (self.to.enrolled.pod_id(), to)];
        self.node.set_epochs(pods).unwrap();
    }

    pub(crate) fn address(&self, family: usize) -> SocketAddr {
        SocketAddr::new(self.b.ips[family], 8080)
    }

    pub(crate) fn verdict(&self, destination: SocketAddr) -> Verdict {
        Verdict {
            source_pod: self.from.enrolled.pod_id(),
            destination,
            endpoint: destination,
            endpoints: 1,
            destination_pod: self.to.enrolled.pod_id(),
            source_epoch: 1,
            destination_epoch: 1,
        }
    }

    pub(crate) fn permit(&self, family: usize) -> SocketAddr {
        let to = self.address(family);
        assert!(self.node.permit(&self.verdict(to)).unwrap());
        to
    }

    /// Whether the next connection there is direct: whoever answers is the application.
    pub(crate) fn is_direct(&self, to: SocketAddr) -> bool {
        let before = self.from.enrolled.stats().direct;
        let seen = talk(&self.a.netns, to).unwrap();
        assert_eq!(seen.peer, to);
        let (out, inward) = (self.from.events(), self.to.events());
        let direct = out.is_empty();
        assert_eq!(inward.is_empty(), direct, "{inward:?}");
        assert_eq!(self.from.enrolled.stats().direct - before, u64::from(direct));
        direct
    }

    pub(crate) fn event(&mut self) -> DirectEvent {
        next(&mut self.events)
    }
}

pub(crate) fn next(events: &mut Events) -> DirectEvent {
    loop {
        if let Some(event) = events.next() {
            return event;
        }
        let timeout = PollTimeout::try_from(PATIENCE).unwrap();
        let ready = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLIN)], timeout).unwrap();
        assert_eq!(ready, 1, "an event comes");
    }
}

//! What direct connections tell of themselves, in the order in which it happened.
use super::{At, DirectEvent, End, end};
use crate::{
    maps::{Corrupt, EVENTS},
    node::{Node, NodeError, Shared},
};
use aya::maps::{Map, MapData, MapError, RingBuf};
use culvert_common::direct::{BROKEN, CLOSED, FlowEvent, OPENED, REFUSED};
use std::{
    collections::VecDeque,
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::Arc,
    time::Duration,
};

/// How many are taken out of the ring at once.
const BATCH: usize = 256;

/// The reader of the node's events; readable when there are some.
///
/// One at a time, and only the owner's gets any.
pub struct Events {
    shared: Arc<Shared>,
    ring: RingBuf<MapData>,
    taken: VecDeque<DirectEvent>,
}

impl Node {
    /// Opens the ring of events.
    ///
    /// # Errors
    ///
    /// When its pin is not what it should be, or there is no memory to map it.
    pub fn events(&self) -> Result<Events, NodeError> {
        let shared = Arc::clone(self.shared());
        let path = shared.instance.pins().join(EVENTS);
        let open = || RingBuf::try_from(Map::RingBuf(MapData::from_pin(&path)?));
        let ring = open().map_err(|error: MapError| {
            let source = io::Error::other(error);
            shared.corrupt(Corrupt { path: path.clone(), source })
        })?;
        Ok(Events { shared, ring, taken: VecDeque::new() })
    }
}

impl Events {
    /// The next one there is by now.
    #[expect(clippy::should_implement_trait, reason = "more may come after `None`")]
    pub fn next(&mut self) -> Option<DirectEvent> {
        if self.taken.is_empty() && self.shared.is_owner() {
            for _ in 0..BATCH {
                let Some(record) = self.ring.next() else { break };
                self.taken.extend(read(&record).and_then(|event| shown(&event)));
            }
        }
        self.taken.pop_front()
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("taken", &self.taken.len()).finish_non_exhaustive()
    }
}

/// A record of the ring.
fn read(record: &[u8]) -> Option<FlowEvent> {
    crate::sys::from_bytes(record)
}

fn shown(event: &FlowEvent) -> Option<DirectEvent> {
    let closed = |end| At::Closed {
        sent: event.sent,
        received: event.received,
        lasted: Duration::from_nanos(event.lasted_ns),
        end,
    };
    let at = match event.kind {
        OPENED => At::Opened,
        CLOSED => closed(End::Done),
        BROKEN => closed(End::Reset),
        REFUSED => closed(End::Refused),
        _ => return None,
    };
    Some(DirectEvent {
        source_pod: event.source_pod,
        destination_pod: event.destination_pod,
        source: end(&event.ends.source, event.ends.source_port_be),
        destination: end(&event.ends.destination, event.ends.destination_port_be),
        meant: end(&event.meant, event.meant_port_be),
        at,
    })
}

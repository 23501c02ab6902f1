//! What direct connections tell of themselves, for metrics and the access log.
use crate::{
    connections::{Conn, Slot},
    cut::Why,
    dataplane::Shared,
    pods::{door::Door, pod::Pod},
};
use culvert_kernel::{At, DirectEvent, End, Events, Node};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
    path::Path,
};
use culvert_runtime::drain::Worker;
use culvert_telemetry::{chain::Chain, conn::ConnRecord};
use std::{
    collections::HashMap,
    error::Error,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task,
};
use tracing::warn;

/// How many events are read before others get their turn.
const TURN: usize = 256;

/// The connections that are open, as far as they told.
#[derive(Debug, Default)]
struct Open(HashMap<(SocketAddr, SocketAddr), Flow>);

/// A connection as both sides' proxies would tell of it.
#[derive(Debug)]
struct Flow([Side; 2]);

#[derive(Debug)]
struct Side {
    record: ConnRecord,
    pod: Arc<Pod>,
    slot: Slot,
}

/// Reads events until the process finishes; then it is somebody else's to tell how they end.
pub(crate) async fn events(shared: Arc<Shared>, kernel: Arc<Node>, worker: Worker) {
    let mut events = match wait_for(&kernel) {
        Ok(events) => events,
        Err(error) => return warn!(error = %Chain(&error), "direct connections are not told of"),
    };
    let mut flows = Open::default();
    loop {
        let mut ready = tokio::select! {
            () = worker.finishing() => break,
            ready = events.readable_mut() => match ready {
                Ok(ready) => ready,
                Err(error) => {
                    warn!(%error, "direct connections are not told of any more");
                    break;
                }
            },
        };
        let mut read = 0;
        while read < TURN
            && let Some(event) = ready.get_inner_mut().next()
        {
            flows.take(&shared, &event);
            read += 1;
        }
        if read < TURN {
            ready.clear_ready();
        }
        drop(ready);
        task::yield_now().await;
    }
    flows.leave();
}

#[expect(deprecated, reason = "its descriptor is open for as long as it lives, so this is sound")]
fn wait_for(kernel: &Node) -> Result<AsyncFd<Events>, NoEvents> {
    Ok(AsyncFd::with_interest(kernel.events()?, Interest::READABLE)?)
}

#[derive(Debug, thiserror::Error)]
enum NoEvents {
    #[error(transparent)]
    Node(#[from] culvert_kernel::NodeError),
    #[error("cannot wait for events")]
    Io(#[from] std::io::Error),
}

impl Open {
    fn take(&mut self, shared: &Shared, event: &DirectEvent) {
        let ends = (event.source, event.destination);
        match event.at {
            At::Opened => {
                if let Some(flow) = Flow::open(shared, event)
                    && let Some(before) = self.0.insert(ends, flow)
                {
                    // Its end was lost.
                    before.close(None, [0, 0], CloseReason::Done);
                }
            }
            At::Closed { sent, received, lasted: _, end } => {
                let flow = self.0.remove(&ends).or_else(|| Flow::open(shared, event));
                let reason = match end {
                    End::Refused => CloseReason::UpstreamRefused,
                    End::Done => CloseReason::Done,
                    // By whom is not told.
                    End::Reset => CloseReason::SourceReset,
                };
                let revoked = shared.direct.was_revoked(ends);
                if let Some(flow) = flow {
                    flow.close(revoked.as_ref(), [sent, received], reason);
                }
            }
        }
    }

    /// Says nothing of the connections' ends: they go on.
    fn leave(self) {
        for Flow(sides) in self.0.into_values() {
            sides.into_iter().for_each(|Side { record, pod, slot }| {
                pod.connections.remove(slot);
                record.leave();
            });
        }
    }
}

impl Flow {
    /// `None` when one of the pods is not here any more.
    fn open(shared: &Shared, event: &DirectEvent) -> Option<Self> {
        let lasted = match event.at {
            At::Opened => Duration::ZERO,
            At::Closed { lasted, .. } => lasted,
        };
        let now = Instant::now();
        let since = now.checked_sub(lasted).unwrap_or(now);
        let doors = shared.doors.all();
        let door = |id: u32| doors.iter().find(|door| door.id == id);
        let (from, to) = (door(event.source_pod)?, door(event.destination_pod)?);
        let facts = facts(shared, event, from, to);
        let side = |direction, pod: &Arc<Pod>| {
            let facts = ConnFacts { direction, ..facts.clone() };
            let mut record = shared.telemetry.open_since(facts, since);
            record.settle();
            let slot = pod.connections.add(Conn::new(Arc::clone(record.live())));
            pod.connections.opened(slot);
            Side { record, pod: Arc::clone(pod), slot }
        };
        Some(Self([side(Direction::Outbound, &from.pod), side(Direction::Inbound, &to.pod)]))
    }

    fn close(self, revoked: Option<&Why>, [sent, received]: [u64; 2], reason: CloseReason) {
        let reason = revoked.map_or(reason, Why::reason);
        for Side { mut record, pod, slot } in self.0 {
            pod.connections.remove(slot);
            record.sent(sent);
            record.received(received);
            let inbound = record.live().see(|facts| facts.direction == Direction::Inbound);
            // One connection was denied, not two.
            if let (true, Some(Why::Revoked(denial))) = (inbound, revoked) {
                record.deny((*denial.denied).clone());
            }
            record.finish(reason, revoked.map(|why| why as &(dyn Error + 'static)));
        }
    }
}

fn facts(shared: &Shared, event: &DirectEvent, from: &Door, to: &Door) -> ConnFacts {
    let DirectEvent { source, destination, meant, .. } = *event;
    let pinned = shared.snapshot.pin();
    let snapshot = &pinned.value;
    let workload = from.pod.workload();
    let addressed = (meant != destination)
        .then(|| snapshot.service_at(meant.ip(), &workload.name.namespace))
        .flatten();
    ConnFacts {
        source_identity: Some(from.pod.identity()),
        destination_identity: Some(to.pod.identity()),
        source_workload: Some(snapshot.workload(&from.pod.uid).cloned().unwrap_or(workload)),
        destination_workload: Some(
            snapshot.workload(&to.pod.uid).cloned().unwrap_or_else(|| to.pod.workload()),
        ),
        service: addressed.map(|bound| Arc::clone(&bound.service)),
        path: Path::Direct,
        ..ConnFacts::new(Direction::Outbound, source, destination)
    }
}

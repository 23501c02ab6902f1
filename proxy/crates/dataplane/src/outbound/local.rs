//! From hand to hand: the destination is a pod of this node, and both ends are ours.
//!
//! Everything is as if a tunnel were between: the destination's limits, its policies with the
//! source's identity, its account. Only nothing is encrypted, for nothing leaves the process.
use crate::{
    account::Account,
    conn::{Abrupt, Admitted},
    copy::{self, Side},
    cut::Why,
    direct::Passed,
    errors::{CopyError, HoldError, LocalError},
    inbound::{self, authorize::Authorized, deliver::Reached},
    l7::{
        self,
        carried::{Carried, Io},
    },
    limits::Refusal,
    pods::{door::Door, pod::Pod},
};
use culvert_model::{
    close::CloseReason,
    facts::{ConnFacts, Direction},
    path::Path,
    snapshot::{Bound, Known},
    tunnel::Authority,
};
use culvert_policy::route::{Hop, To};
use culvert_telemetry::chain::Chain;
use std::{net::SocketAddr, pin::pin, sync::Arc};
use tracing::debug;

/// A connection that is counted at its destination, and has not got further.
#[derive(Debug)]
pub(super) struct Entered {
    account: Account,
    door: Arc<Door>,
    /// What the application dialled.
    meant: SocketAddr,
    source: Arc<Known>,
    service: Option<Arc<Bound>>,
}

/// A connection that its destination took.
#[derive(Debug)]
pub(super) struct Handed {
    account: Account,
    other: Reached,
}

/// What a way through a tunnel says of a connection.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    /// What the application dialled.
    pub(super) meant: SocketAddr,
    pub(super) source: &'a Arc<Known>,
    pub(super) service: Option<&'a Arc<Bound>>,
    pub(super) hop: &'a Hop,
}

/// Two pods of the node of which one cannot prove who it is.
#[derive(Debug)]
pub(super) struct Uncertified {
    own: Arc<Pod>,
    other: Arc<Pod>,
}

/// Counts the connection at its destination's own door; `None` when that is no pod of this node, or
/// the connection has to go through a tunnel nevertheless.
///
/// # Errors
///
/// When the pod there has as many as it may; that is recorded.
pub(super) fn enter(
    admitted: &Admitted,
    door: &Door,
    offer: &Offer<'_>,
) -> Result<Option<Entered>, LocalError> {
    let shared = &door.pod.shared;
    let Some((peer, target)) = next_door(door, offer.hop) else { return Ok(None) };
    if !may_be_handed(&door.pod) {
        return Ok(None);
    }
    let entered = shared.doors.enter(&peer.member.uid, |other| {
        if !is_of(other, target) || !may_be_handed(&other.pod) {
            return Ok(None);
        }
        admitted.account.learn(|facts| {
            (facts.path, facts.hbone) = (Path::Local, None);
            facts.destination_identity = Some(peer.member.identity.clone());
        });
        let facts = ConnFacts {
            direction: Direction::Inbound,
            destination: target,
            ..admitted.account.facts()
        };
        let account = Account::open(&other.pod, facts)?;
        // Other certificates may be believed since; from here on it is cut for that.
        if !(door.pod.is_believed() && other.pod.is_believed()) {
            account.cut(Why::Disbelieved);
        }
        Ok(Some((account, Arc::clone(other))))
    });
    let entered: Result<_, Refusal> = entered.transpose();
    let Some((account, door)) = entered?.flatten() else { return Ok(None) };
    let Offer { meant, source, service, hop: _ } = *offer;
    let (source, service) = (Arc::clone(source), service.map(Arc::clone));
    Ok(Some(Entered { account, door, meant, source, service }))
}

/// The two pods of a way from hand to hand, when one of them has no certificate this moment.
pub(super) fn uncertified(door: &Door, to: &To) -> Option<Uncertified> {
    let To::Hbone(hop) = to else { return None };
    let (peer, target) = next_door(door, hop)?;
    let other = door
        .pod
        .shared
        .doors
        .enter(&peer.member.uid, |other| is_of(other, target).then(|| Arc::clone(&other.pod)));
    let (own, other) = (Arc::clone(&door.pod), other.flatten()?);
    let is_ready = own.is_certified() && other.is_certified();
    (!is_ready).then_some(Uncertified { own, other })
}

impl Uncertified {
    /// Waits some time for the certificates of both.
    ///
    /// # Errors
    ///
    /// When the source gets none. Of the destination a tunnel will tell.
    pub(super) async fn certified(self) -> Result<(), HoldError> {
        let Self { own, other } = self;
        let [own_identity, others] = [own.identity(), other.identity()];
        let (own, _) = tokio::join!(own.certificate(&own_identity), other.certificate(&others));
        own.map(drop)
    }
}

/// The pod to which a tunnel would lead if it is to be handed over where it can, and its address.
pub(crate) fn next_door<'h>(door: &Door, hop: &'h Hop) -> Option<(&'h Arc<Known>, SocketAddr)> {
    let Hop { peer: Some(peer), authority: Authority::Addr(target), is_waypoint: false, .. } = hop
    else {
        return None;
    };
    let is_tunnelled = door.pod.shared.encrypt_local || peer.member.app_tunnel.is_some();
    (!is_tunnelled).then_some((peer, *target))
}

/// Delivered to another's address, it would leave the node as it is.
fn is_of(other: &Door, target: SocketAddr) -> bool {
    other.pod.workload().ips.contains(target.ip())
}

pub(crate) fn may_be_handed(pod: &Pod) -> bool {
    pod.is_certified() && pod.is_believed()
}

/// Asks the destination's policies, and connects to its application in the client's name.
///
/// # Errors
///
/// When one of the two is not possible; that is recorded for the destination.
pub(super) async fn hand(admitted: &Admitted, entered: Entered) -> Result<Handed, LocalError> {
    let Entered { mut account, door, meant, source, service } = entered;
    match inbound::deliver::deliver(&mut account, &door.sockets, &admitted.io).await {
        Ok((other, Authorized { known: destination, on_trial, must_pass })) => {
            let to_itself = source.member.uid == destination.member.uid;
            if !on_trial && !to_itself && !must_pass {
                let target = account.destination();
                let passed = Passed { meant, target, source, service, destination };
                account.pod().shared.direct.permit(&passed);
            }
            Ok(Handed { account, other })
        }
        Err(error) => {
            account.fail(&error);
            Err(error.into())
        }
    }
}

/// Carries the connection to its end.
pub(super) async fn carry(admitted: Admitted, handed: Handed) {
    let Admitted { io, mut account } = admitted;
    let Handed { account: mut far, other } = handed;
    let other = match other {
        Reached::App(other) => Abrupt::new(other),
        Reached::L7(place) => {
            let carried = Carried::new(Io::Tcp(io), Side::Source, [account, far]);
            return l7::hand_in(place, carried);
        }
    };
    account.opened();
    far.opened();
    let bounds = account.pod().shared.copy;
    let count = |moved| {
        account.count(moved);
        far.count(moved);
    };
    let ended = {
        let mut copy = pin!(copy::copy(&io, &other, bounds, count));
        far.guard(copy.as_mut()).await
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => {
            drop((io, other));
            far.close_cut(&why);
            // To the source, whoever was at the other end has gone; but policy is policy.
            let reason = match &*why {
                Why::Revoked(_)
                | Why::PastL7
                | Why::NoRoute(_)
                | Why::Unannounced
                | Why::Disbelieved => why.reason(),
                Why::PodGone | Why::Drained => CloseReason::DestinationReset,
            };
            return account.close(reason, Some(&*why));
        }
    };
    let Some(error) = CopyError::of(ended) else {
        io.close();
        other.close();
        far.close(CloseReason::Done, None);
        return account.close(CloseReason::Done, None);
    };
    drop((io, other));
    debug!(pod = %account.pod().uid, error = %Chain(&error), "local connection ended");
    far.close(error.reason(), error.detail());
    account.close(error.reason(), error.detail());
}

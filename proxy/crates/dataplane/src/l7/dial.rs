//! Connections that an engine has opened, as one of the pods of this node.
//!
//! Where they lead is decided as for the pod itself; only nobody's account is opened for them but
//! at a destination of this process, for they carry what others have asked for.
use super::carried::{Carried, Io};
use crate::{
    account::Account,
    connect::reached,
    copy::Side,
    dice::{dice, new_trace},
    errors::{InboundError, LocalError, OpenError, OutboundError},
    hbone::{
        bytes,
        headers::{Baggage, Request},
        pool::{Pool, Target},
    },
    inbound::{
        authorize::{Authorized, authorize},
        deliver::{Reached, reach},
    },
    l7,
    outbound::local::{may_be_handed, next_door},
    pods::{door::Door, peers::Peers, pod::Seen},
};
use culvert_identity::certificate::Certificate;
use culvert_model::{
    facts::{ConnFacts, Direction},
    member::Member,
    path::Path,
};
use culvert_policy::{
    Asking, NoRoute,
    route::{self, Hop, To},
};
use culvert_runtime::doors::{Bytes, Opened};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// How much two engines of this process have between them.
const PIPE: usize = 64 << 10;

/// Opens a connection as the pod of `door`, as if it had dialled `to` itself.
///
/// # Errors
///
/// When there is no way, or it leads nowhere.
pub(crate) async fn from_source(door: &Arc<Door>, to: SocketAddr) -> Result<Opened, OutboundError> {
    let seen = door.pod.known().await?;
    let asking = Asking {
        source: &seen.known,
        destination: to,
        failed: &[],
        load: &door.pod.shared.loads,
        dice: &mut dice,
    };
    let way = match route::route(seen.snapshot(), asking) {
        Ok(route) => route.to,
        // Who told the engine of it knows it.
        Err(NoRoute::Unknown(to)) => To::Plain(to),
        Err(error) => return Err(error.into()),
    };
    let hop = match way {
        To::Plain(to) => {
            drop(seen);
            return Ok(plain(door, to).await?);
        }
        To::Host(..) => return Err(NoRoute::Unknown(to).into()),
        To::Hbone(hop) => hop,
    };
    if let Some(opened) = next(door, &seen, &hop).await? {
        return Ok(opened);
    }
    tunnel(door, seen, hop).await
}

/// In plain text, from the pod's namespace.
async fn plain(door: &Door, to: SocketAddr) -> Result<Opened, OpenError> {
    let limit = door.pod.shared.connect_timeout;
    let connecting = door.sockets.dial(to).map_err(|error| OpenError::new(to, error, limit))?;
    let tcp = reached(connecting, to, limit).await?;
    Ok(Opened { bytes: Bytes::Tcp(tcp), in_mesh: false, path: Path::Plain })
}

async fn tunnel(door: &Door, seen: Seen, hop: Hop) -> Result<Opened, OutboundError> {
    let member = Arc::clone(&seen.known.member);
    drop(seen);
    let own = door.pod.certificate(&member.identity).await?;
    let tunnels = Tunnels { pool: &door.pool, peers: &door.peers };
    tunnels.open(&member, own, hop, |next| door.sockets.dial(next)).await
}

/// What tunnels are opened in.
pub(crate) struct Tunnels<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) peers: &'a Peers,
}

impl Tunnels<'_> {
    /// Opens one to `hop` as `member`, whose certificate is `own`; `dial` begins to connect.
    ///
    /// # Errors
    ///
    /// When nobody or somebody else is there, or it does not take the connection.
    pub(crate) async fn open(
        &self,
        member: &Member,
        own: Arc<Certificate>,
        hop: Hop,
        dial: impl Fn(SocketAddr) -> io::Result<std::net::TcpStream>,
    ) -> Result<Opened, OutboundError> {
        let Hop { next, expected, authority, peer, is_waypoint: _ } = hop;
        let request = Request {
            baggage: Baggage::of(member),
            trace: Some(new_trace()),
            ..Request::new(authority)
        };
        let peer = peer.map(|peer| peer.member.uid.clone());
        if let Some(peer) = &peer {
            self.peers.note(peer, next);
        }
        let target = Target { next, expected, peer, own };
        let opened = self.pool.open(&target, &request, || dial(next)).await?;
        let io = Io::Tunnel(bytes::Bytes::new(opened.tunnel));
        let carried = Carried::new(io, Side::Destination, []);
        Ok(in_mesh(carried, Path::Tunnel))
    }
}

fn in_mesh(carried: Carried, path: Path) -> Opened {
    Opened { bytes: Bytes::Other(Box::new(carried)), in_mesh: true, path }
}

/// To a pod of this process, from hand to hand; `None` when it is none, or a tunnel is wanted.
async fn next(door: &Arc<Door>, seen: &Seen, hop: &Hop) -> Result<Option<Opened>, OutboundError> {
    let Some((peer, target)) = next_door(door, hop) else { return Ok(None) };
    let other = door.pod.shared.doors.enter(&peer.member.uid, Arc::clone);
    let both = |other: &Arc<Door>| {
        other.pod.workload().ips.contains(target.ip())
            && may_be_handed(&door.pod)
            && may_be_handed(&other.pod)
    };
    let Some(other) = other.filter(both) else { return Ok(None) };
    let source = seen.known.workload.ips.like(target.ip()).unwrap_or(target.ip());
    let facts = ConnFacts {
        source_workload: Some(Arc::clone(&seen.known.workload)),
        source_identity: Some(seen.known.member.identity.clone()),
        destination_workload: Some(Arc::clone(&peer.workload)),
        destination_identity: Some(peer.member.identity.clone()),
        path: Path::Local,
        ..ConnFacts::new(Direction::Inbound, SocketAddr::new(source, 0), target)
    };
    let account = Account::open(&other.pod, facts).map_err(LocalError::from)?;
    Ok(Some(enter(&other, account).await.map_err(LocalError::from)?))
}

/// Goes in at the door of a pod of this process.
async fn enter(door: &Door, mut account: Account) -> Result<Opened, InboundError> {
    match arrive(door, &mut account).await {
        Ok(Reached::App(tcp)) => {
            let io = Io::Tcp(crate::conn::Abrupt::new(tcp));
            let mut carried = Carried::new(io, Side::Destination, [account]);
            carried.opened();
            Ok(in_mesh(carried, Path::Local))
        }
        Ok(Reached::L7(place)) => {
            let (near, far) = tokio::io::duplex(PIPE);
            l7::hand_in(place, Carried::new(Io::Here(far), Side::Source, [account]));
            let near = Carried::new(Io::Here(near), Side::Destination, []);
            Ok(in_mesh(near, Path::Local))
        }
        Err(error) => {
            account.fail(&error);
            Err(error)
        }
    }
}

async fn arrive(door: &Door, account: &mut Account) -> Result<Reached, InboundError> {
    let Authorized { must_pass, .. } = authorize(account).await?;
    reach(account, &door.sockets, must_pass, None).await
}

/// Opens a connection to the application of the pod of `door`, in the name of `client`; to
/// another address as the pod itself.
///
/// # Errors
///
/// When it cannot be reached.
pub(crate) async fn to_application(
    door: &Arc<Door>,
    client: IpAddr,
    to: SocketAddr,
) -> Result<Opened, OutboundError> {
    let own = door.pod.workload().ips;
    let ip = if to.ip().is_loopback() || to.ip().is_unspecified() {
        own.like(client).unwrap_or(to.ip())
    } else {
        to.ip()
    };
    if !own.contains(ip) {
        return from_source(door, to).await;
    }
    let to = SocketAddr::new(ip, to.port());
    let limit = door.pod.shared.connect_timeout;
    let connecting = door.sockets.deliver(client, to);
    let connecting =
        connecting.map_err(|error| LocalError::Unavailable(InboundError::deliver(error, limit)))?;
    let tcp = reached(connecting, to, limit).await?;
    Ok(Opened { bytes: Bytes::Tcp(tcp), in_mesh: true, path: Path::Plain })
}

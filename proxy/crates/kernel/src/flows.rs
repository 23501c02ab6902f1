//! The TCP connections of a pod that no proxy is in, and ending them.
//!
//! What the proxy's sockets are, of whichever generation, is told by their storage: its own say so,
//! its listeners hand that down to what they accept. (An earlier layout's sockets have none that we
//! can see; they are told by the cgroup of their own, if they had one.)
use crate::{
    flows::diag::{Diag, Found, State},
    node::Shared,
    sockets::{PodSockets, deliver::MARK},
};
use culvert_common::{
    addr,
    conn::{ACCEPTED, CAPTURED, EXCLUDED, OWN, Tuple},
};
use std::{
    collections::HashSet,
    fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
};

mod diag;
mod message;

/// A connection of the pod's namespace that no proxy is in.
///
/// Neither a captured one nor a delivery, nor what stays within the pod, nor a probe of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The pod listens on the local port.
    pub inbound: bool,
    /// A verdict let it pass; any other is older than the pod's enrolment, or was let go because
    /// its destination is excluded or the pod fails open.
    pub direct: bool,
    /// Bytes that the remote end has acknowledged, and those that came from there; TCP counts a SYN
    /// and a FIN as one each.
    pub sent: u64,
    pub received: u64,
}

impl PodSockets {
    /// The connections of the pod's namespace that no proxy is in, open or being opened by the pod.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, or the kernel does not tell.
    pub fn flows(&self) -> io::Result<Vec<Flow>> {
        let shared = self.shared();
        let all = Diag::open_in(self.netns())?.dump(shared.maps.sockets.fd())?;
        let own_cgroup = fs::metadata(shared.instance.cgroup()).ok().map(|folder| folder.ino());
        let is_own = |socket: &Found| {
            socket.flags & (OWN | ACCEPTED) != 0
                || own_cgroup.is_some_and(|own| socket.cgroup == Some(own))
        };
        let there: HashSet<_> = all.iter().map(|socket| (socket.local, socket.remote)).collect();
        let served: HashSet<u16> = all
            .iter()
            .filter(|socket| socket.state == State::Listening && !is_own(socket))
            .map(|socket| socket.local.port())
            .collect();
        let apart = all.iter().filter(|socket| {
            socket.state == State::Open
                && !is_own(socket)
                && socket.flags & (CAPTURED | EXCLUDED) == 0
                // The application's end of a delivery. Nobody else gets far with this mark: it
                // routes all that is sent to the loopback device.
                && socket.mark != MARK
                && !there.contains(&(socket.remote, socket.local))
                && !socket.remote.ip().is_loopback()
        });
        let mut flows = Vec::new();
        for socket in apart {
            let passage = passage(shared, socket)?;
            if passage == Passage::Probe {
                continue;
            }
            flows.push(Flow {
                local: socket.local,
                remote: socket.remote,
                inbound: served.contains(&socket.local.port()),
                direct: passage == Passage::Direct,
                sent: socket.sent,
                received: socket.received,
            });
        }
        Ok(flows)
    }

    /// Ends a connection of the pod, given its two ends in either order: both sides get a reset.
    /// Whether there was one.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, or the kernel cannot end connections
    /// ([`Capabilities::destroy`](crate::Capabilities::destroy)).
    pub fn destroy(&self, one: SocketAddr, other: SocketAddr) -> io::Result<bool> {
        let canonical = culvert_model::addr::canonical;
        let (one, other) = (canonical(one), canonical(other));
        let mut diag = Diag::open_in(self.netns())?;
        let mut ended = false;
        for (local, remote) in [(one, other), (other, one)] {
            if let Some(found) = diag.find(local, remote)?
                && (found.local, found.remote) == (local, remote)
                && found.state != State::Listening
            {
                ended |= match diag.destroy(&found) {
                    // What is left of a socket that has ended already: older kernels refuse that.
                    Err(e) if is_unsupported(&e) && self.shared().capabilities.destroy => false,
                    done => done?,
                };
            }
        }
        Ok(ended)
    }
}

/// How a connection got past the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passage {
    Direct,
    Probe,
    Unknown,
}

fn passage(shared: &Shared, socket: &Found) -> io::Result<Passage> {
    let (out, back) = (tuple(socket.local, socket.remote), tuple(socket.remote, socket.local));
    let direct = &shared.maps.direct;
    if direct.get(&out)?.is_some() || direct.get(&back)?.is_some() {
        return Ok(Passage::Direct);
    }
    // The client's end is the host's.
    let is_probe = shared.maps.bypass.get(&back)?.is_some();
    Ok(if is_probe { Passage::Probe } else { Passage::Unknown })
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

fn tuple(source: SocketAddr, destination: SocketAddr) -> Tuple {
    Tuple {
        source: addr::from_ip(source.ip()),
        destination: addr::from_ip(destination.ip()),
        source_port_be: source.port().to_be(),
        destination_port_be: destination.port().to_be(),
        reserved: 0,
    }
}

/// Whether connections can be ended from outside: tried on a listener of our own.
pub(crate) fn can_destroy() -> bool {
    let try_it = || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (local, nobody) = (listener.local_addr()?, SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut diag = Diag::open()?;
        match diag.find(local, nobody)? {
            Some(found) => diag.destroy(&found),
            None => Ok(false),
        }
    };
    try_it().unwrap_or_else(|error: io::Error| {
        tracing::debug!(%error, "connections cannot be destroyed");
        false
    })
}

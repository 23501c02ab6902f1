//! The kernel's name for a network namespace, also before it could be asked for.
use crate::{
    netns::Netns,
    node::{NodeError, Shared},
};
use culvert_common::conn;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd as _,
    sync::PoisonError,
};

/// A connection there by a socket of the proxy is a question: the connect program refuses it and
/// leaves the cookie in `ASK`.
const QUESTION: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 255, 255, 254), 1);

impl Shared {
    /// The cookie of a namespace: by `SO_NETNS_COOKIE`, before Linux 5.14 by the connect program.
    pub(crate) fn cookie_of(&self, netns: &Netns) -> Result<u64, NodeError> {
        if self.capabilities.netns_cookie
            && let Some(cookie) = netns.cookie()
        {
            return Ok(cookie);
        }
        self.ask(netns).map_err(NodeError::Cookie)
    }

    fn ask(&self, netns: &Netns) -> io::Result<u64> {
        let _one_at_a_time = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let socket =
            netns.run(|| Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)))??;
        self.maps.sockets.mark(socket.as_fd(), 0, conn::LEAVES)?;
        self.maps.ask.set(&0, &0)?;
        match socket.connect(&SocketAddr::from(QUESTION).into()) {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {}
            other => {
                let met = other.map_or_else(|e| e.to_string(), |()| "a listener".to_owned());
                return Err(io::Error::other(format!("the connect program did not answer: {met}")));
            }
        }
        let answer = self.maps.ask.get(&0)?.filter(|cookie| *cookie != 0);
        answer.ok_or_else(|| io::Error::other("the connect program left no answer"))
    }
}

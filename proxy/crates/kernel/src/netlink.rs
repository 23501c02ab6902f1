//! Routing netlink: links, addresses, routes and rules of one network namespace.
//!
//! Every change is acknowledged by the kernel before the call returns. What is to be removed and is
//! not there counts as removed; a rule or local route that is to be added and is there counts as
//! added: both happen when a process takes up where a crashed one left off.
use crate::netns::{Netns, NetnsError};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::{io, net::IpAddr};

mod link;
mod route;

/// How often a listing that changed under our eyes is asked for again.
const DUMP_TRIES: usize = 16;

/// A routing netlink socket of one network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
}

/// Why something was not changed or found; the operation is in the words of `ip(8)`.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("cannot open a netlink socket in the network namespace")]
    Open(#[source] io::Error),
    #[error("cannot look into the network namespace")]
    Netns(#[from] NetnsError),
    #[error("netlink: {operation}")]
    Refused {
        operation: String,
        #[source]
        source: io::Error,
    },
    #[error("netlink: {operation}: the kernel's answer cannot be read")]
    Answer {
        operation: String,
        #[source]
        source: netlink_packet_core::DecodeError,
    },
    #[error("netlink: {operation}: the list kept changing")]
    Unsteady { operation: String },
}

/// What a request is about, for its error.
trait Naming<T> {
    fn naming(self, operation: impl FnOnce() -> String) -> Result<T, NetlinkError>;
}

/// Why one exchange with the kernel failed.
#[derive(Debug)]
enum Failure {
    Io(io::Error),
    Answer(netlink_packet_core::DecodeError),
    Unsteady,
}

impl Netlink {
    /// Opens a socket in `netns`; it stays there whatever thread uses it.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered.
    pub fn open_in(netns: &Netns) -> Result<Self, NetlinkError> {
        let socket = netns.run(|| Socket::new(NETLINK_ROUTE)).and_then(|made| made);
        let mut socket = socket.map_err(NetlinkError::Open)?;
        socket.bind_auto().map_err(NetlinkError::Open)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a change and waits for its acknowledgement.
    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Failure> {
        self.exchange(message, flags | NLM_F_ACK).map(drop)
    }

    /// Asks for one thing.
    fn ask(&mut self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        self.exchange(message, NLM_F_ACK)
    }

    /// Asks for everything of a kind.
    fn list(&mut self, message: &RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        for _ in 0..DUMP_TRIES {
            match self.exchange(message.clone(), NLM_F_DUMP) {
                Err(Failure::Unsteady) => {}
                done => return done,
            }
        }
        Err(Failure::Unsteady)
    }

    fn exchange(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        let kernel = SocketAddr::new(0, 0);
        retry(|| self.socket.send_to(&bytes, &kernel, 0)).map_err(Failure::Io)?;
        self.answer()
    }

    /// Reads until the acknowledgement, the error or the end of the list.
    fn answer(&self) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        let mut answers = Vec::new();
        let mut steady = true;
        loop {
            let (datagram, _) = retry(|| self.socket.recv_from_full()).map_err(Failure::Io)?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(Failure::Answer)?;
                // Messages are padded to four bytes; the last one need not be.
                let taken = (message.header.length as usize).next_multiple_of(4);
                rest = rest.get(taken..).unwrap_or_default();
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                steady &= message.header.flags & NLM_F_DUMP_INTR == 0;
                if let Some(end) = end_of(message.payload, &mut answers) {
                    return end.and_then(|()| steady.then_some(answers).ok_or(Failure::Unsteady));
                }
            }
        }
    }
}

impl Family {
    /// Both, IPv4 first.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl From<Family> for AddressFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Inet,
            Family::V6 => Self::Inet6,
        }
    }
}

impl<T> Naming<T> for Result<T, Failure> {
    fn naming(self, operation: impl FnOnce() -> String) -> Result<T, NetlinkError> {
        self.map_err(|failure| match failure {
            Failure::Io(source) => NetlinkError::Refused { operation: operation(), source },
            Failure::Answer(source) => NetlinkError::Answer { operation: operation(), source },
            Failure::Unsteady => NetlinkError::Unsteady { operation: operation() },
        })
    }
}

/// Keeps an answer; `Some` when it was the last one.
#[expect(clippy::wildcard_enum_match_arm, reason = "kinds of a later netlink are no answer")]
fn end_of<T>(payload: NetlinkPayload<T>, answers: &mut Vec<T>) -> Option<Result<(), Failure>> {
    match payload {
        NetlinkPayload::InnerMessage(inner) => {
            answers.push(inner);
            None
        }
        // The acknowledgement is an error without a code.
        NetlinkPayload::Error(error) if error.code.is_some() => {
            Some(Err(Failure::Io(error.to_io())))
        }
        NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => Some(Ok(())),
        _ => None,
    }
}

/// Takes one of `errnos` for success.
fn unless(done: Result<(), Failure>, errnos: &[i32]) -> Result<(), Failure> {
    match done {
        Err(Failure::Io(e)) if e.raw_os_error().is_some_and(|errno| errnos.contains(&errno)) => {
            Ok(())
        }
        done => done,
    }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

//! The messages of `linux/sock_diag.h` and `linux/inet_diag.h`, as bytes.
use super::diag::{Found, State};
use culvert_common::conn::OrigDst;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// `struct nlmsghdr`.
const HEADER: usize = 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;

/// `struct inet_diag_msg`.
const SOCKET: usize = 72;
/// In a request: any.
const NO_COOKIE: [u32; 2] = [u32::MAX; 2];
const EVERY_STATE: u32 = u32::MAX;
const IPPROTO_TCP: u8 = 6;

// Attributes of requests.
const ASK_STORAGES: u16 = 2;
const ASK_STORAGE_OF: u16 = 1;
const NESTED: u16 = 1 << 15;
// Attributes of answers.
const INFO: u16 = 2;
const MARK: u16 = 15;
const STORAGES: u16 = 20;
const CGROUP: u16 = 21;
const STORAGE: u16 = 1;
const STORAGE_VALUE: u16 = 3;
/// Asks for [`INFO`].
const WITH_INFO: u8 = 1 << (INFO - 1);

// States of a TCP socket.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

/// One message of an answer.
pub(super) enum Answer {
    /// `None` for what is no TCP socket of IP.
    Socket(Option<Found>),
    /// There is no more.
    Done,
    Refused(i32),
}

/// Asks for every socket of a family, and what a map of socket storage says of each.
pub(super) fn dump(sequence: u32, family: i32, storage: u32) -> Vec<u8> {
    let any = if family == libc::AF_INET {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let mut body = wanted(any, any, NO_COOKIE);
    let inner = attribute(ASK_STORAGE_OF, &storage.to_ne_bytes());
    body.extend(attribute(ASK_STORAGES | NESTED, &inner));
    message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence, &body)
}

/// Asks for one socket.
pub(super) fn find(sequence: u32, local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    message(SOCK_DIAG_BY_FAMILY, NLM_F_ACK, sequence, &wanted(local, remote, NO_COOKIE))
}

/// Ends one socket.
pub(super) fn destroy(sequence: u32, found: &Found) -> Vec<u8> {
    let body = wanted(found.local, found.remote, found.cookie);
    message(SOCK_DESTROY, NLM_F_ACK, sequence, &body)
}

/// The messages of a datagram that answer the request of that number.
pub(super) fn answers(mut bytes: &[u8], sequence: u32) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some((length, kind)) = u32_at(bytes, 0).zip(u16_at(bytes, 4)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        if u32_at(bytes, 8) == Some(sequence) {
            answers.push(match kind {
                NLMSG_DONE => Answer::Done,
                // Zero: it was done.
                NLMSG_ERROR => match u32_at(body, 0).map_or(0, u32::cast_signed) {
                    0 => Answer::Done,
                    error => Answer::Refused(error.saturating_neg()),
                },
                _ => Answer::Socket(socket(body)),
            });
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    answers
}

/// `struct inet_diag_req_v2`.
fn wanted(local: SocketAddr, remote: SocketAddr, cookie: [u32; 2]) -> Vec<u8> {
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut body = vec![u8::try_from(family).unwrap_or_default(), IPPROTO_TCP, WITH_INFO, 0];
    body.extend(EVERY_STATE.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    body.extend(address(local.ip()));
    body.extend(address(remote.ip()));
    // No particular interface.
    body.extend([0; 4]);
    cookie.iter().for_each(|word| body.extend(word.to_ne_bytes()));
    body
}

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // The kernel fills our port in.
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::new();
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// `struct inet_diag_msg` and its attributes.
fn socket(body: &[u8]) -> Option<Found> {
    let (fixed, attributes) = body.split_at_checked(SOCKET)?;
    let [family, state, ..] = *fixed else { return None };
    let end = |ip: usize, port: usize| {
        let octets: [u8; 16] = fixed.get(ip..ip + 16)?.try_into().ok()?;
        let ip = match i32::from(family) {
            libc::AF_INET => {
                let [a, b, c, d, ..] = octets;
                IpAddr::from([a, b, c, d])
            }
            libc::AF_INET6 => IpAddr::from(octets).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be(u16_at(fixed, port)?)))
    };
    let mut found = Found {
        local: end(8, 4)?,
        remote: end(24, 6)?,
        state: match state {
            ESTABLISHED | SYN_SENT | FIN_WAIT1 | FIN_WAIT2 | CLOSE_WAIT => State::Open,
            LISTEN => State::Listening,
            _ => State::Other,
        },
        mark: 0,
        cgroup: None,
        flags: 0,
        sent: 0,
        received: 0,
        cookie: [u32_at(fixed, 44)?, u32_at(fixed, 48)?],
    };
    for (kind, value) in each(attributes) {
        match kind {
            MARK => found.mark = u32_at(value, 0).unwrap_or(0),
            CGROUP => found.cgroup = u64_at(value, 0),
            // `tcpi_bytes_acked`, `tcpi_bytes_received` of `struct tcp_info`.
            INFO => {
                found.sent = u64_at(value, 120).unwrap_or(0);
                found.received = u64_at(value, 128).unwrap_or(0);
            }
            STORAGES => found.flags = flags(value).unwrap_or(0),
            _ => {}
        }
    }
    Some(found)
}

/// Of the one storage that was asked for.
fn flags(storages: &[u8]) -> Option<u32> {
    let (_, storage) = each(storages).find(|(kind, _)| *kind == STORAGE)?;
    let (_, value) = each(storage).find(|(kind, _)| *kind == STORAGE_VALUE)?;
    crate::sys::from_bytes::<OrigDst>(value).map(|known| known.flags)
}

/// The attributes of a list.
fn each(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & !NESTED, value))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The kernel is trusted, and still nothing it sends may end the process.
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, sequence: u32) {
            drop(answers(&bytes, sequence));
            let _whatever_it_is = socket(&bytes);
            prop_assert!(each(&bytes).count() <= bytes.len());
        }

        /// What is asked for is what would be found: request and answer have the ends alike.
        #[test]
        fn ends_are_written_as_they_are_read(local: SocketAddr, remote: SocketAddr) {
            let (local, remote) = (SocketAddr::new(local.ip(), local.port()), SocketAddr::new(remote.ip(), remote.port()));
            let canonical = |it: SocketAddr| SocketAddr::new(it.ip().to_canonical(), it.port());
            prop_assume!(local.is_ipv4() == remote.is_ipv4());
            let asked = wanted(local, remote, NO_COOKIE);
            let mut answer = asked.get(..4).unwrap_or_default().to_vec();
            answer.extend(asked.get(8..).unwrap_or_default());
            answer.resize(SOCKET, 0);
            let found = socket(&answer).unwrap();
            prop_assert_eq!((found.local, found.remote), (canonical(local), canonical(remote)));
        }
    }
}

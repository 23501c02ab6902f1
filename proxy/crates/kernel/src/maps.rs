//! The maps that kernel programs and user space share, by name, shape and type.
//!
//! | map | key | value | written by |
//! |---|---|---|---|
//! | `PODS` | namespace cookie | [`PodCfg`] | user space, last of all when a pod is enrolled |
//! | `NODE` | 0 | [`NodeCfg`] | user space |
//! | `ORIG` | socket | [`OrigDst`] | both |
//! | `PENDING`, `BYPASS`, `EGRESS_OK` | connection | | programs |
//! | `POD_IPS` | address | pod id | user space |
//! | `EXCLUDE` | pod id and network | [`Exclude`] | user space |
//! | `POD_STATS` | pod id | [`PodStats`] | both |
//! | `ASK` | 0 | namespace cookie | programs |
//! | `BEAT` | 0 | when the proxy last said that it lives | user space |
//! | `EPOCHS` | pod id | | user space |
//! | `VERDICTS` | [`VerdictKey`] | [`Verdict`] | user space |
//! | `DIRECT` | connection | [`Direct`] | programs |
//! | `EVENTS` | | [`FlowEvent`](culvert_common::direct::FlowEvent) | programs |
//! | `DNS` | [`DnsKey`] | [`DnsPorts`] | user space |
//! | `DNS_BACK` | [`DnsBackKey`] | address | user space |
use crate::sys::{self, Shape, Table};
use aya::maps::lpm_trie::Key;
use culvert_common::{
    addr::Addr,
    conn::{self, OrigDst, PendingKey, Tuple},
    direct::{Direct, Verdict, VerdictKey},
    dns::{DnsBackKey, DnsKey, DnsPorts},
    node::NodeCfg,
    pod::{Exclude, ExcludeKey, PodCfg, PodStats},
};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    path::{Path, PathBuf},
};

/// What each map must be: `BPF_MAP_TYPE_*`, key and value size.
pub(crate) const NODE_MAPS: [(&str, Shape); 17] = [
    ("PODS", hash::<u64, PodCfg>()),
    ("NODE", shape::<u32, NodeCfg>(2)),
    ("ORIG", shape::<u32, OrigDst>(24)),
    ("PENDING", hash::<PendingKey, OrigDst>()),
    ("POD_IPS", hash::<Addr, u32>()),
    ("BYPASS", hash::<Tuple, u32>()),
    ("EGRESS_OK", hash::<Tuple, u32>()),
    ("EXCLUDE", shape::<Key<ExcludeKey>, Exclude>(11)),
    ("POD_STATS", hash::<u32, PodStats>()),
    ("ASK", shape::<u32, u64>(2)),
    ("BEAT", shape::<u32, u64>(2)),
    ("EPOCHS", hash::<u32, u64>()),
    ("VERDICTS", hash::<VerdictKey, Verdict>()),
    ("DIRECT", hash::<Tuple, Direct>()),
    (EVENTS, shape::<(), ()>(27)),
    ("DNS", hash::<DnsKey, DnsPorts>()),
    ("DNS_BACK", hash::<DnsBackKey, Addr>()),
];

/// The ring of what direct connections tell.
pub(crate) const EVENTS: &str = "EVENTS";

/// The pod's sockets that inbound connections are steered to.
pub(crate) const LISTENERS: (&str, Shape) = ("LISTENERS", shape::<u32, u32>(15));

/// Slots of `LISTENERS`.
pub(crate) const PLAINTEXT_V4: u32 = 0;
pub(crate) const PLAINTEXT_V6: u32 = 1;
pub(crate) const TUNNEL_V4: u32 = 2;
pub(crate) const TUNNEL_V6: u32 = 3;

/// The maps that user space reads and writes.
#[derive(Debug)]
pub(crate) struct Maps {
    pub(crate) pods: Table<u64, PodCfg>,
    pub(crate) node: Table<u32, NodeCfg>,
    pub(crate) pod_ips: Table<Addr, u32>,
    pub(crate) exclude: Table<Key<ExcludeKey>, Exclude>,
    pub(crate) stats: Table<u32, PodStats>,
    pub(crate) ask: Table<u32, u64>,
    pub(crate) beat: Table<u32, u64>,
    pub(crate) epochs: Table<u32, u64>,
    pub(crate) verdicts: Table<VerdictKey, Verdict>,
    pub(crate) direct: Table<Tuple, Direct>,
    pub(crate) bypass: Table<Tuple, u32>,
    pub(crate) dns: Table<DnsKey, DnsPorts>,
    pub(crate) dns_back: Table<DnsBackKey, Addr>,
    pub(crate) sockets: Sockets,
}

/// `ORIG`: what is known of a socket, by its descriptor.
#[derive(Debug)]
pub(crate) struct Sockets(Table<u32, OrigDst>);

/// A pin that is not what it should be.
#[derive(Debug)]
pub(crate) struct Corrupt {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl Maps {
    /// Opens the maps pinned in `pins`.
    pub(crate) fn open(pins: &Path) -> Result<Self, Corrupt> {
        Ok(Self {
            pods: table(pins, "PODS")?,
            node: table(pins, "NODE")?,
            pod_ips: table(pins, "POD_IPS")?,
            exclude: table(pins, "EXCLUDE")?,
            stats: table(pins, "POD_STATS")?,
            ask: table(pins, "ASK")?,
            beat: table(pins, "BEAT")?,
            epochs: table(pins, "EPOCHS")?,
            verdicts: table(pins, "VERDICTS")?,
            direct: table(pins, "DIRECT")?,
            bypass: table(pins, "BYPASS")?,
            dns: table(pins, "DNS")?,
            dns_back: table(pins, "DNS_BACK")?,
            sockets: Sockets(table(pins, "ORIG")?),
        })
    }
}

impl Sockets {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }

    /// Where the application meant to go, for a socket accepted from a captured connection.
    pub(crate) fn original(&self, accepted: BorrowedFd<'_>) -> Option<SocketAddr> {
        let known = self.0.get(&key(accepted)).ok()??;
        (known.flags & conn::ACCEPTED != 0).then(|| {
            let ip = culvert_common::addr::to_ip(&known.addr);
            SocketAddr::new(ip, u16::from_be(known.port_be))
        })
    }

    /// Marks the proxy's own socket, before `connect(2)`: the programs let it pass, whatever
    /// cgroup or generation made it. What a marked listener accepts is marked too. Nobody without the map's descriptor can.
    pub(crate) fn mark(&self, own: BorrowedFd<'_>, pod_id: u32, flags: u32) -> io::Result<()> {
        let flags = conn::OWN | flags;
        self.0.set(&key(own), &OrigDst { flags, pod_id, ..OrigDst::default() })
    }
}

/// Checks every pin that is there.
///
/// aya reuses whatever is pinned under a map's name; the programs would then fail to verify, or,
/// with another object's layout, read nonsense.
pub(crate) fn check_pins(pins: &Path, maps: &[(&str, Shape)]) -> Result<(), Corrupt> {
    for (name, expected) in maps {
        let path = pins.join(name);
        let exists = path.try_exists().and_then(|exists| {
            if exists {
                let found = sys::map_shape(sys::obj_get(&path)?.as_fd())?;
                if found != *expected {
                    let message = format!("{found} instead of {expected}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
            Ok(())
        });
        exists.map_err(|source| Corrupt { path, source })?;
    }
    Ok(())
}

fn table<K: aya::Pod, V: aya::Pod>(pins: &Path, name: &str) -> Result<Table<K, V>, Corrupt> {
    let path = pins.join(name);
    Table::open(&path).map_err(|source| Corrupt { path, source })
}

/// A socket as the key of `ORIG`; a descriptor is not negative.
fn key(socket: BorrowedFd<'_>) -> u32 {
    socket.as_raw_fd().cast_unsigned()
}

const fn hash<K, V>() -> Shape {
    shape::<K, V>(1)
}

#[expect(clippy::cast_possible_truncation, reason = "keys and values are tens of bytes")]
const fn shape<K, V>(kind: u32) -> Shape {
    Shape { kind, key: size_of::<K>() as u32, value: size_of::<V>() as u32 }
}

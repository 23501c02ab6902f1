//! User space reads and writes the types as plain bytes.
#![expect(unsafe_code, reason = "aya::Pod is an unsafe marker")]
use crate::{conn, direct, dns, node, pod};

/// Marks plain integers structs as such.
macro_rules! plain {
    ($($t:ty),+ $(,)?) => { $(
        // SAFETY: `repr(C)`, integers only, no padding: the size beside the type is the sum of its
        // fields.
        unsafe impl aya::Pod for $t {}
    )+ };
}
plain!(
    conn::OrigDst,
    conn::PendingKey,
    conn::Tuple,
    direct::VerdictKey,
    direct::Verdict,
    direct::Direct,
    direct::FlowEvent,
    dns::DnsKey,
    dns::DnsPorts,
    dns::DnsBackKey,
    node::NodeCfg,
    pod::PodCfg,
    pod::ExcludeKey,
    pod::Exclude,
    pod::PodStats,
);

//! What the dataplane is told once, at its start.
use crate::dns;
use std::time::Duration;

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many connections one pod may have.
    pub max_connections_per_pod: u32,
    /// How many per cent of the process's descriptors one pod may take when it is alone, 1 to 100;
    /// pods that compete get less, and always leave something to one more.
    pub descriptor_share: u8,
    /// How many descriptors are not for connections.
    pub descriptor_reserve: u64,
    /// How long a destination may take to answer a connection attempt.
    pub connect_timeout: Duration,
    /// How long both sides of a connection may be silent; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// The largest copy buffer, in bytes; rounded down to 8 KiB, 64 KiB, 256 KiB or 1 MiB.
    pub buffer_max: usize,
    /// How long the TLS handshake of a tunnel may take.
    pub handshake_timeout: Duration,
    /// How long a connection waits for what it cannot do without: that its pod is announced, and
    /// for the pod's certificate.
    pub hold: Duration,
    /// Whether connections between two pods of this node go through tunnels too.
    pub encrypt_local: bool,
    /// How questions of pods to their name servers are answered; `None`: they are not captured.
    pub dns: Option<dns::Settings>,
    /// How long the connections of a pod that left the mesh may run on; `None`: to their end.
    pub drain_deadline: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections_per_pod: 20_000,
            descriptor_share: 50,
            descriptor_reserve: 1024,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: None,
            buffer_max: 1 << 20,
            handshake_timeout: Duration::from_secs(5),
            hold: Duration::from_secs(5),
            encrypt_local: false,
            dns: Some(dns::Settings::default()),
            drain_deadline: None,
        }
    }
}

//! Tunnels: how their handshakes go, and how many are open.
use culvert_model::facts::Direction;
use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{fmt, time::Duration};

/// From a handshake on the same machine to one that crawls.
const SECONDS: [f64; 9] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// Both sides know each other.
    Done,
    /// One side did not believe the other, or spoke something else.
    Failed,
    /// It took too long.
    Timeout,
    /// There was no certificate to show.
    Identity,
    /// Too many were under way.
    Crowded,
}

/// Counted while it lives.
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct Open(Gauge);

#[derive(Debug)]
pub(super) struct Tunnels {
    handshakes: Family<HandshakeLabels, Counter>,
    duration: Family<Side, Histogram>,
    open: Family<Side, Gauge>,
    streams: Family<Side, Gauge>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct HandshakeLabels {
    side: Side,
    outcome: Handshake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Side(Direction);

impl Handshake {
    const ALL: [Self; 5] = [Self::Done, Self::Failed, Self::Timeout, Self::Identity, Self::Crowded];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Identity => "identity",
            Self::Crowded => "crowded",
        }
    }
}

impl Tunnels {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let duration = Family::new_with_constructor(histogram as fn() -> Histogram);
        let (handshakes, open, streams) = Default::default();
        let tunnels = Self { handshakes, duration, open, streams };
        let Self { handshakes, duration, open, streams } = &tunnels;
        for side in [Side(Direction::Outbound), Side(Direction::Inbound)] {
            for outcome in Handshake::ALL {
                drop(handshakes.get_or_create(&HandshakeLabels { side, outcome }));
            }
            drop((open.get_or_create(&side), streams.get_or_create(&side)));
            drop(duration.get_or_create(&side));
        }
        let culvert = registry.sub_registry_with_prefix("culvert");
        let help = "TLS handshakes of tunnels, by their end";
        culvert.register("tunnel_handshakes", help, handshakes.clone());
        let help = "Seconds that TLS handshakes of tunnels took which succeeded";
        culvert.register("tunnel_handshake_seconds", help, duration.clone());
        culvert.register("tunnels_open", "Tunnels now open", open.clone());
        let help = "Connections now open inside tunnels";
        culvert.register("tunnel_streams_open", help, streams.clone());
        tunnels
    }

    pub(super) fn handshake(&self, direction: Direction, outcome: Handshake, took: Duration) {
        let side = Side(direction);
        self.handshakes.get_or_create(&HandshakeLabels { side, outcome }).inc();
        if outcome == Handshake::Done {
            self.duration.get_or_create(&side).observe(took.as_secs_f64());
        }
    }

    pub(super) fn opened(&self, direction: Direction) -> Open {
        Open::new(&self.open, direction)
    }

    pub(super) fn stream(&self, direction: Direction) -> Open {
        Open::new(&self.streams, direction)
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Open {
    fn new(family: &Family<Side, Gauge>, direction: Direction) -> Self {
        let gauge = family.get_or_create(&Side(direction)).clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl EncodeLabelSet for HandshakeLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { side: Side(direction), outcome } = self;
        [("direction", direction.as_str()), ("outcome", outcome.as_str())].encode(encoder)
    }
}

impl EncodeLabelSet for Side {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [("direction", self.0.as_str())].encode(encoder)
    }
}

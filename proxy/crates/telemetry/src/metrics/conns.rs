//! Our own view of connections: how many are open, and how they end.
use crate::path::Path;
use culvert_model::{close::CloseReason, facts::Direction};
use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::fmt;

/// Registered once; every series that tells of refusals exists from the start, so that the first
/// one is a rise.
#[derive(Debug, Default)]
pub(super) struct Conns {
    open: Family<OpenLabels, Gauge>,
    closed: Family<ClosedLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct OpenLabels {
    direction: Direction,
    path: Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ClosedLabels {
    direction: Direction,
    path: Path,
    reason: CloseReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RefusedLabels {
    direction: Direction,
    reason: CloseReason,
}

impl Conns {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let conns = Self::default();
        let Self { open, closed, refused } = &conns;
        for direction in [Direction::Outbound, Direction::Inbound] {
            for path in Path::ALL {
                drop(open.get_or_create(&OpenLabels { direction, path }));
            }
            for reason in CloseReason::ALL {
                let path = Path::Plain;
                drop(closed.get_or_create(&ClosedLabels { direction, path, reason }));
                if reason.is_refusal() {
                    drop(refused.get_or_create(&RefusedLabels { direction, reason }));
                }
            }
        }
        let culvert = registry.sub_registry_with_prefix("culvert");
        culvert.register("connections_open", "Connections now open", open.clone());
        let help = "Connections ended, by reason; each was accepted, and has its access line";
        culvert.register("connections_closed", help, closed.clone());
        let help = "Connections accepted that never came about, by reason";
        culvert.register("refused", help, refused.clone());
        conns
    }

    pub(super) fn opened(&self, direction: Direction, path: Path) {
        self.open.get_or_create(&OpenLabels { direction, path }).inc();
    }

    pub(super) fn moved(&self, direction: Direction, from: Path, to: Path) {
        if from != to {
            self.open.get_or_create(&OpenLabels { direction, path: from }).dec();
            self.opened(direction, to);
        }
    }

    pub(super) fn closed(&self, direction: Direction, path: Path, reason: CloseReason) {
        self.open.get_or_create(&OpenLabels { direction, path }).dec();
        self.closed.get_or_create(&ClosedLabels { direction, path, reason }).inc();
        if reason.is_refusal() {
            self.refused.get_or_create(&RefusedLabels { direction, reason }).inc();
        }
    }
}

impl EncodeLabelSet for OpenLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { direction, path } = self;
        [("direction", direction.as_str()), ("path", path.as_str())].encode(encoder)
    }
}

impl EncodeLabelSet for ClosedLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { direction, path, reason } = self;
        [("direction", direction.as_str()), ("path", path.as_str()), ("reason", reason.as_str())]
            .encode(encoder)
    }
}

impl EncodeLabelSet for RefusedLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { direction, reason } = self;
        [("direction", direction.as_str()), ("reason", reason.as_str())].encode(encoder)
    }
}

//! Istio's sample application: its manifests are applied as they stand, and do what they say.
mod egress;
mod entry;
mod faults;
pub(super) mod stage;
mod versions;
mod weights;

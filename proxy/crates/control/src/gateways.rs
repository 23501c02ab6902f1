//! Gateways of the Gateway API in a cluster: what is made for them, and what everybody is told of
//! them in the status of objects; pure.
//!
//! Reading order: `Gateways` (all that is known), `labels` (by which they are chosen), `order` (what
//! of an object says what is to be made), [`template`] (what pods look like), `made` (the objects),
//! `conditions` and `status` (what is written where people look).

pub(crate) mod labels;

pub(crate) mod order;

pub mod template;

pub(crate) mod made;

mod conditions;

pub(crate) mod status;

use culvert_kubernetes::trim::Key;
use order::Order;
use status::Told;
use std::{collections::BTreeMap, sync::Arc};

/// The class that is there without anybody having made it.
pub(crate) const CLASS: &str = "culvert";

/// By which label a pod says whose gateway it is.
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// As which server of discovery a gateway has its own identity, and what that is called there: as
/// Istio's agents have it.
pub mod own {
    pub const SERVER: &str = "sds-grpc";
    pub const CERTIFICATE: &str = "default";
    pub const TRUST: &str = "ROOTCA";
}

/// All that is known of gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gateways {
    /// Objects that are told what became of them.
    pub(crate) told: Vec<Told>,
    /// Gateways of our classes.
    pub(crate) orders: Vec<Order>,
    /// Services by which gateways may be reached.
    pub(crate) services: BTreeMap<Key, Service>,
    /// The kind is defined, and there is no class of our name.
    pub(crate) lacks_class: bool,
}

/// A Service, as far as it leads to a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// What it was made of, if it was made here.
    pub(crate) made_of: Option<Arc<str>>,
    /// Somebody outside gives it an address.
    pub(crate) is_outside: bool,
    pub(crate) addresses: Vec<Address>,
}

/// Where a gateway is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Ip(Arc<str>),
    Host(Arc<str>),
}

/// How a gateway is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    /// `None`: nobody here knows.
    pub(crate) addresses: Option<Vec<Address>>,
    /// Why it cannot be reached, with the reason in one word.
    pub(crate) lacks: Option<(&'static str, String)>,
}

impl Presence {
    /// Of a gateway that is reached by a Service; `pods`: how many of those that are made here are
    /// there, `None`: they are somebody else's.
    pub(crate) fn by(service: Option<&Service>, pods: Option<u64>) -> Self {
        let Some(Service { addresses, is_outside, .. }) = service else {
            let lacks = Some(("Pending", "there is no Service yet".to_owned()));
            return Self { addresses: Some(Vec::new()), lacks };
        };
        let lacks = if addresses.is_empty() && *is_outside {
            Some(("AddressNotAssigned", "the Service has no address yet".to_owned()))
        } else if addresses.is_empty() {
            Some(("AddressNotAssigned", "the Service has no address".to_owned()))
        } else if pods == Some(0) {
            Some(("Pending", "none of its pods is available yet".to_owned()))
        } else {
            None
        };
        Self { addresses: Some(addresses.clone()), lacks }
    }

    /// Of one for which nothing can be made.
    pub(crate) fn troubled(why: &str) -> Self {
        Self { addresses: Some(Vec::new()), lacks: Some(("Invalid", why.to_owned())) }
    }
}

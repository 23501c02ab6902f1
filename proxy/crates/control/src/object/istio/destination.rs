//! Where a route leads.
use super::domain::HostName;
use crate::object::{fault::advice, port::Port, spanned::Spanned};
use serde::Deserialize;
use std::num::NonZeroU16;

/// A service, and what of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Destination {
    pub host: Spanned<HostName>,
    pub subset: Option<Spanned<SubsetName>>,
    port: Option<PortNumber>,
}

/// The name of a subset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SubsetName(String);

/// `port: {number: 80}`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::object) struct PortNumber {
    pub(in crate::object) number: Port,
}

impl Destination {
    /// Unless the service has only one.
    #[must_use]
    pub fn port(&self) -> Option<NonZeroU16> {
        self.port.map(|port| port.number.0)
    }
}

impl SubsetName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SubsetName {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let ends = written.starts_with('-') || written.ends_with('-');
        if (1..=63).contains(&written.len()) && written.bytes().all(fine) && !ends {
            return Ok(Self(written));
        }
        let message = format!("`{written}` is no name of a subset");
        Err(advice(message, "use letters, digits and inner hyphens, at most 63"))
    }
}

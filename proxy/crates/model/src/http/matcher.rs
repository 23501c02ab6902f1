//! What a request's parts are compared with.
use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::field::Field;

mod fraction;
mod regex;
mod string;

pub use self::{
    fraction::{Denominator, Fraction, RuntimeFlag, RuntimeFraction, RuntimeNumber},
    regex::{NotARegex, Regex, Substitution},
    string::{StringMatch, StringPattern},
};

/// `HeaderMatcher`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderMatch {
    pub name: Field,
    pub condition: HeaderCondition,
    /// The result is turned round. A header that is missing does not match an inverted condition
    /// on its value either, unless [`missing_is_empty`](Self::missing_is_empty) (but matches an
    /// inverted [`Present`](HeaderCondition::Present)).
    pub invert: bool,
    /// `treat_missing_header_as_empty`.
    pub missing_is_empty: bool,
}

/// What a header must be; of several of one name, any of them.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderCondition {
    Present(bool),
    Value(StringMatch),
    /// A decimal number in the range; anything else does not match.
    Range(ValueRange<i64>),
}

/// `QueryParameterMatcher`; of several parameters of one name the first counts.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryMatch {
    pub name: Arc<str>,
    pub condition: QueryCondition,
}

/// What a query parameter must be; one without a value (`?a`) is the empty string.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryCondition {
    Present(bool),
    Value(StringMatch),
}

/// From the first, to before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueRange<T> {
    pub start: T,
    pub end: T,
}

/// Networks, any of which may hold an address; none holds nothing.
///
/// IPv4 addresses that come mapped into IPv6 are IPv4 addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Box<[IpNet]>);

impl<T: PartialOrd> ValueRange<T> {
    #[must_use]
    pub fn contains(&self, value: &T) -> bool {
        *value >= self.start && *value < self.end
    }
}

impl Networks {
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl HeaderMatch {
    /// One that asks for a value.
    #[must_use]
    pub fn value(name: Field, value: StringMatch) -> Self {
        Self::new(name, HeaderCondition::Value(value))
    }

    /// One that is neither inverted nor kind to missing headers.
    #[must_use]
    pub fn new(name: Field, condition: HeaderCondition) -> Self {
        Self { name, condition, invert: false, missing_is_empty: false }
    }
}

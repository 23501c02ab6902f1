//! What became of a request, beside its status: `%RESPONSE_FLAGS%`.
use std::fmt;

/// One thing that happened to a request, or to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flag {
    FailedLocalHealthCheck,
    NoHealthyUpstream,
    UpstreamRequestTimeout,
    LocalReset,
    UpstreamRemoteReset,
    UpstreamConnectionFailure,
    UpstreamConnectionTermination,
    UpstreamOverflow,
    NoRouteFound,
    DelayInjected,
    FaultInjected,
    RateLimited,
    UnauthorizedExternalService,
    RateLimitServiceError,
    DownstreamConnectionTermination,
    UpstreamRetryLimitExceeded,
    StreamIdleTimeout,
    InvalidEnvoyRequestHeaders,
    DownstreamProtocolError,
    UpstreamMaxStreamDurationReached,
    ResponseFromCacheFilter,
    NoFilterConfigFound,
    DurationTimeout,
    UpstreamProtocolError,
    NoClusterFound,
    OverloadManager,
    DnsResolutionFailed,
    DropOverload,
    DownstreamRemoteReset,
    UnconditionalDropOverload,
}

/// All that happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    all: u32,
    /// Those that were set first, in that order, each one more than its number.
    order: [u8; ORDERED],
}

/// How many flags keep their order; more than these hardly come together.
const ORDERED: usize = 8;

use Flag as F;

/// The flag, its name, its long name.
const NAMES: [(Flag, &str, &str); 30] = [
    (F::FailedLocalHealthCheck, "LH", "FailedLocalHealthCheck"),
    (F::NoHealthyUpstream, "UH", "NoHealthyUpstream"),
    (F::UpstreamRequestTimeout, "UT", "UpstreamRequestTimeout"),
    (F::LocalReset, "LR", "LocalReset"),
    (F::UpstreamRemoteReset, "UR", "UpstreamRemoteReset"),
    (F::UpstreamConnectionFailure, "UF", "UpstreamConnectionFailure"),
    (F::UpstreamConnectionTermination, "UC", "UpstreamConnectionTermination"),
    (F::UpstreamOverflow, "UO", "UpstreamOverflow"),
    (F::NoRouteFound, "NR", "NoRouteFound"),
    (F::DelayInjected, "DI", "DelayInjected"),
    (F::FaultInjected, "FI", "FaultInjected"),
    (F::RateLimited, "RL", "RateLimited"),
    (F::UnauthorizedExternalService, "UAEX", "UnauthorizedExternalService"),
    (F::RateLimitServiceError, "RLSE", "RateLimitServiceError"),
    (F::DownstreamConnectionTermination, "DC", "DownstreamConnectionTermination"),
    (F::UpstreamRetryLimitExceeded, "URX", "UpstreamRetryLimitExceeded"),
    (F::StreamIdleTimeout, "SI", "StreamIdleTimeout"),
    (F::InvalidEnvoyRequestHeaders, "IH", "InvalidEnvoyRequestHeaders"),
    (F::DownstreamProtocolError, "DPE", "DownstreamProtocolError"),
    (F::UpstreamMaxStreamDurationReached, "UMSDR", "UpstreamMaxStreamDurationReached"),
    (F::ResponseFromCacheFilter, "RFCF", "ResponseFromCacheFilter"),
    (F::NoFilterConfigFound, "NFCF", "NoFilterConfigFound"),
    (F::DurationTimeout, "DT", "DurationTimeout"),
    (F::UpstreamProtocolError, "UPE", "UpstreamProtocolError"),
    (F::NoClusterFound, "NC", "NoClusterFound"),
    (F::OverloadManager, "OM", "OverloadManagerTerminated"),
    (F::DnsResolutionFailed, "DF", "DnsResolutionFailed"),
    (F::DropOverload, "DO", "DropOverload"),
    (F::DownstreamRemoteReset, "DR", "DownstreamRemoteReset"),
    (F::UnconditionalDropOverload, "UDO", "UnconditionalDropOverload"),
];

impl Flag {
    /// The name that logs and filters of logs use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|(flag, ..)| *flag == self).map_or("", |(_, name, _)| name)
    }

    /// The flag of a name, as filters of access logs write it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, short, _)| *short == name).map(|(flag, ..)| *flag)
    }
}

impl Flags {
    pub fn set(&mut self, flag: Flag) {
        if self.has(flag) {
            return;
        }
        self.all |= 1 << flag as u32;
        if let Some(place) = self.order.iter_mut().find(|place| **place == 0) {
            *place = flag as u8 + 1;
        }
    }

    #[must_use]
    pub const fn has(self, flag: Flag) -> bool {
        self.all & 1 << flag as u32 != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.all == 0
    }

    /// In the order in which they were set, as Envoy writes them.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        let mut all: Vec<_> =
            NAMES.iter().map(|(flag, ..)| *flag).filter(|flag| self.has(*flag)).collect();
        all.sort_by_key(|flag| {
            let place = self.order.iter().position(|place| *place == *flag as u8 + 1);
            place.unwrap_or(ORDERED)
        });
        all.into_iter()
    }

    /// The long names.
    #[must_use]
    pub fn long(self) -> impl fmt::Display {
        Written(self, |(_, _, long)| long)
    }
}

/// The short names, by commas.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Written(*self, |(_, short, _)| short).fmt(f)
    }
}

struct Written(Flags, fn((Flag, &'static str, &'static str)) -> &'static str);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for flag in self.0.iter() {
            let names = NAMES.into_iter().find(|(one, ..)| *one == flag);
            write!(f, "{between}{}", names.map_or("", self.1))?;
            between = ",";
        }
        Ok(())
    }
}

/// Whatever their order.
impl PartialEq for Flags {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Flags {}

impl FromIterator<Flag> for Flags {
    fn from_iter<T: IntoIterator<Item = Flag>>(flags: T) -> Self {
        let mut all = Self::default();
        flags.into_iter().for_each(|flag| all.set(flag));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{Flag, Flags, NAMES};

    #[test]
    fn are_written_in_the_order_in_which_they_came() {
        let flags: Flags = [Flag::UpstreamRetryLimitExceeded, Flag::UpstreamConnectionFailure]
            .into_iter()
            .collect();
        assert_eq!(flags.to_string(), "URX,UF");
        assert_eq!(
            flags.long().to_string(),
            "UpstreamRetryLimitExceeded,UpstreamConnectionFailure"
        );
        let turned: Flags = flags.iter().collect::<Vec<_>>().into_iter().rev().collect();
        assert_eq!((turned.to_string(), turned), ("UF,URX".to_owned(), flags));
    }

    #[test]
    fn every_name_leads_back() {
        for (flag, name, _) in NAMES {
            assert_eq!(Flag::named(name), Some(flag));
            assert_eq!(flag.as_str(), name);
        }
    }
}

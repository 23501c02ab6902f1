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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

use Flag as F;

/// In the order in which Envoy writes them (it writes those first that are known first: that there
/// is no further try comes before why the last one failed): the flag, its name, its long name.
const NAMES: [(Flag, &str, &str); 30] = [
    (F::UpstreamRetryLimitExceeded, "URX", "UpstreamRetryLimitExceeded"),
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
    pub const fn set(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u32;
    }

    #[must_use]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & 1 << flag as u32 != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In Envoy's order.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        NAMES.iter().map(|(flag, ..)| *flag).filter(move |flag| self.has(*flag))
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
        for names in NAMES {
            if self.0.has(names.0) {
                write!(f, "{between}{}", (self.1)(names))?;
                between = ",";
            }
        }
        Ok(())
    }
}

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
    fn are_written_in_envoys_order() {
        let flags: Flags = [Flag::UpstreamRetryLimitExceeded, Flag::UpstreamConnectionFailure]
            .into_iter()
            .collect();
        assert_eq!(flags.to_string(), "URX,UF");
        assert_eq!(
            flags.long().to_string(),
            "UpstreamRetryLimitExceeded,UpstreamConnectionFailure"
        );
    }

    #[test]
    fn every_name_leads_back() {
        for (flag, name, _) in NAMES {
            assert_eq!(Flag::named(name), Some(flag));
            assert_eq!(flag.as_str(), name);
        }
    }
}

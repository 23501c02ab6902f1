//! Which endpoints are left out because of how they answer, and for how long.
use std::time::Duration;

use culvert_model::http::outlier::Outlier;

mod rate;

pub use rate::{Window, by_rate};

/// Why an endpoint is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    Consecutive5xx,
    ConsecutiveGateway,
    ConsecutiveLocal,
    SuccessRate,
    SuccessRateLocal,
    FailurePercentage,
    FailurePercentageLocal,
}

/// How a request to an endpoint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this status (of gRPC: as HTTP has it).
    Answer(u16),
    /// Connected, by the side that counts connections.
    Connected,
    /// No connection.
    NotConnected,
    /// No answer in time.
    Timeout,
    /// The answer was reset.
    Reset,
}

/// What is remembered of one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitor {
    consecutive_5xx: u32,
    consecutive_gateway: u32,
    consecutive_local: u32,
    /// Answers since the last interval, and connections, where those are split off.
    pub external: Window,
    pub local: Window,
    ejected: Option<Ejected>,
    /// How often it was left out, less the intervals in which it was not.
    times: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Ejected {
    at: Duration,
    jitter: Duration,
}

impl Monitor {
    /// Counts how a request ended; says so if the endpoint is to be left out for it.
    pub fn ended(&mut self, ending: Ending, config: &Outlier) -> Option<Cause> {
        if config.split_local {
            return match ending {
                Ending::Answer(status) => self.external(status, config),
                Ending::Reset => self.external(500, config),
                Ending::Connected => {
                    self.local.count(true);
                    self.consecutive_local = 0;
                    None
                }
                Ending::NotConnected | Ending::Timeout => {
                    self.local.count(false);
                    grown(&mut self.consecutive_local, config.consecutive_local)
                        .then_some(Cause::ConsecutiveLocal)
                }
            };
        }
        match ending {
            Ending::Answer(status) => self.external(status, config),
            Ending::Connected => None,
            Ending::NotConnected => self.external(503, config),
            Ending::Timeout => self.external(504, config),
            Ending::Reset => self.external(500, config),
        }
    }

    fn external(&mut self, status: u16, config: &Outlier) -> Option<Cause> {
        let failed = (500..600).contains(&status);
        self.external.count(!failed);
        if !failed {
            self.consecutive_5xx = 0;
            self.consecutive_gateway = 0;
            return None;
        }
        let gateway = if (502..=504).contains(&status) {
            grown(&mut self.consecutive_gateway, config.consecutive_gateway)
        } else {
            self.consecutive_gateway = 0;
            false
        };
        let any = grown(&mut self.consecutive_5xx, config.consecutive_5xx);
        // The narrower one counts first, where both come at once and it is enforced.
        match (gateway, any) {
            (true, _) if config.enforcing_consecutive_gateway > 0 || !any => {
                Some(Cause::ConsecutiveGateway)
            }
            (_, true) => Some(Cause::Consecutive5xx),
            _ => None,
        }
    }

    #[must_use]
    pub const fn is_ejected(&self) -> bool {
        self.ejected.is_some()
    }

    /// Leaves it out from now; `dice` decides how much longer than it must be.
    pub fn eject(&mut self, now: Duration, dice: u64, config: &Outlier) {
        let most = u64::try_from(config.max_jitter.as_millis()).unwrap_or(u64::MAX);
        let jitter = Duration::from_millis(dice % most.saturating_add(1));
        self.ejected = Some(Ejected { at: now, jitter });
        if config.base_ejection * self.times < longest(config) + config.base_ejection {
            self.times += 1;
        }
    }

    /// Once each interval: whether it comes back now.
    pub fn tick(&mut self, now: Duration, config: &Outlier) -> bool {
        let Some(ejected) = self.ejected else {
            self.times = self.times.saturating_sub(1);
            return false;
        };
        let length = (config.base_ejection * self.times).min(longest(config)) + ejected.jitter;
        let over = now.saturating_sub(ejected.at) >= length;
        if over {
            self.back();
        }
        over
    }

    /// It is used again, and nothing of before counts.
    pub fn back(&mut self) {
        self.ejected = None;
        self.consecutive_5xx = 0;
        self.consecutive_gateway = 0;
        self.consecutive_local = 0;
    }
}

/// Whether one more may be left out, of `all` of whom `ejected` are already.
#[must_use]
pub fn may_eject(ejected: usize, all: usize, config: &Outlier) -> bool {
    ejected * 100 < usize::try_from(config.max_percent.min(100)).unwrap_or(100) * all
        || config.always_one && ejected == 0
}

/// Whether what was found has a consequence, this time.
#[must_use]
pub fn enforced(cause: Cause, dice: u64, config: &Outlier) -> bool {
    let percent = match cause {
        Cause::Consecutive5xx => config.enforcing_consecutive_5xx,
        Cause::ConsecutiveGateway => config.enforcing_consecutive_gateway,
        Cause::ConsecutiveLocal => config.enforcing_consecutive_local,
        Cause::SuccessRate => config.success_rate.enforcing,
        Cause::SuccessRateLocal => config.success_rate.enforcing_local,
        Cause::FailurePercentage => config.failure_percentage.enforcing,
        Cause::FailurePercentageLocal => config.failure_percentage.enforcing_local,
    };
    dice % 100 < u64::from(percent)
}

fn longest(config: &Outlier) -> Duration {
    config.max_ejection.max(config.base_ejection)
}

/// Counts one more; whether that is the one that is too many (the count begins anew then).
const fn grown(count: &mut u32, limit: u32) -> bool {
    *count += 1;
    let reached = *count >= limit;
    if reached {
        *count = 0;
    }
    reached
}

#[cfg(test)]
mod tests;

//! What time it is.
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use std::{fmt, sync::Arc};

/// Tells the time; certificates are judged by it.
pub trait Clock: fmt::Debug + Send + Sync {
    fn now(&self) -> UnixTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// Lets rustls read a [`Clock`].
#[derive(Debug)]
pub(crate) struct TlsTime(pub(crate) Arc<dyn Clock>);

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime::now()
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0.now())
    }
}

//! What a manager's configuration means to the codecs.
use crate::{h1, h2, message::Scheme};
use culvert_model::http::manager::Manager;
use std::time::Duration;

/// Between two pings, where only their absence is configured.
const NEVER: Duration = Duration::from_secs(1 << 32);

#[derive(Debug)]
pub(super) struct Options {
    plain: h1::Options,
    secure: h1::Options,
    pub(super) h2: h2::Options,
}

impl Options {
    pub(super) fn new(config: &Manager) -> Self {
        let secure = h1::Options { scheme: Scheme::Https, ..h1_of(config) };
        Self { plain: h1_of(config), secure, h2: h2_of(config) }
    }

    pub(super) const fn h1(&self, secure: bool) -> &h1::Options {
        if secure { &self.secure } else { &self.plain }
    }
}

fn bytes(config: &Manager) -> u32 {
    config.limits.max_headers_kb.saturating_mul(1024)
}

/// How long a client may take nothing of a response.
fn stall(config: &Manager) -> Option<Duration> {
    config.limits.stream_flush_timeout.or(config.limits.stream_idle_timeout)
}

fn requests(config: &Manager) -> Option<u64> {
    config.common.max_requests_per_connection.map(|most| most.get().into())
}

fn h1_of(config: &Manager) -> h1::Options {
    let common = &config.common;
    h1::Options {
        limits: h1::Limits {
            headers: usize::try_from(common.max_headers).unwrap_or(usize::MAX),
            bytes: usize::try_from(bytes(config)).unwrap_or(usize::MAX),
            whole_url: config.http1.allow_absolute_url,
            chunks_with_length: config.http1.allow_chunked_length,
        },
        scheme: Scheme::Http,
        idle: common.idle_timeout,
        head: config.limits.headers_timeout.or(config.limits.request_timeout),
        stall: stall(config),
        age: common.max_connection_duration,
        requests: requests(config),
        linger: config.limits.delayed_close_timeout.unwrap_or_default(),
        trailers: config.http1.trailers,
        answers_expect: !config.proxy_100_continue,
        names: config.http1.header_format,
    }
}

fn h2_of(config: &Manager) -> h2::Options {
    let (http2, common) = (&config.http2, &config.common);
    let keepalive = http2.keepalive.map(|keepalive| h2::Keepalive {
        interval: keepalive.interval.unwrap_or(NEVER),
        timeout: keepalive.timeout,
    });
    h2::Options {
        settings: h2::Settings {
            stream_window: http2.stream_window,
            connection_window: http2.connection_window,
            streams: http2.max_streams,
            headers: bytes(config),
            header_table: http2.hpack_table,
            ..h2::Settings::default()
        },
        extended_connect: http2.allow_connect,
        idle: common.idle_timeout,
        age: common.max_connection_duration,
        requests: requests(config),
        stall: stall(config),
        keepalive,
        answers_expect: !config.proxy_100_continue,
        ..h2::Options::default()
    }
}

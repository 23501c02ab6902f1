//! What a tunnel is asked for.
use std::{fmt, net::SocketAddr, sync::Arc};

/// Where the far end of a tunnel is to connect, as its request names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// Never v4-mapped.
    Addr(SocketAddr),
    /// A service's host name and port.
    Host(Arc<str>, u16),
}

/// Joins what several proxies tell of one connection: W3C trace context.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trace {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => write!(f, "{addr}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// The trace id and the span id in hexadecimal digits, with a dash between them.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id } = self;
        trace_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        span_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_written_as_a_request_has_it() {
        let addr = Authority::Addr("[fd00::1]:80".parse().unwrap());
        assert_eq!(addr.to_string(), "[fd00::1]:80");
        let host = Authority::Host("cart.shop.svc.cluster.local".into(), 80);
        assert_eq!(host.to_string(), "cart.shop.svc.cluster.local:80");
    }

    #[test]
    fn a_trace_is_written_with_every_digit() {
        let trace = Trace { trace_id: [0x0a; 16], span_id: [1; 8] };
        assert_eq!(trace.to_string(), "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a-0101010101010101");
    }
}

//! `http_inspector`: whether a client speaks HTTP, and which version.
use super::{Stopped, more};
use crate::{
    connection::Connection,
    dial::Protocol,
    listener::ahead::Ahead,
    sniff::{self, Begins},
    stats::{Counter, Late, Stats},
};

#[derive(Debug)]
pub(super) struct Inspector {
    old: Late<Counter>,
    one: Late<Counter>,
    two: Late<Counter>,
    not_found: Late<Counter>,
}

impl Inspector {
    pub(super) fn new(stats: &Stats) -> Self {
        let scope = stats.root().scope("http_inspector");
        Self {
            old: scope.late("http10_found"),
            one: scope.late("http11_found"),
            two: scope.late("http2_found"),
            not_found: scope.late("http_not_found"),
        }
    }

    pub(super) async fn look(
        &self,
        connection: &mut Connection,
        ahead: &mut Ahead,
    ) -> Result<(), Stopped> {
        if connection.facts.transport == "tls" {
            return Ok(());
        }
        let mut begins = sniff::begins(ahead.bytes());
        while begins == Begins::Undecided {
            more(ahead).await?;
            begins = sniff::begins(ahead.bytes());
        }
        let (counter, protocol) = match begins {
            Begins::With(Protocol::Http2) => (&self.two, "h2c"),
            Begins::With(Protocol::Http1) if is_old(ahead.bytes()) => (&self.old, "http/1.0"),
            Begins::With(Protocol::Http1) => (&self.one, "http/1.1"),
            Begins::Otherwise | Begins::Undecided => {
                self.not_found.inc();
                return Ok(());
            }
        };
        counter.inc();
        connection.facts.protocols = [protocol.into()].into();
        Ok(())
    }
}

fn is_old(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.trim_ascii_end().ends_with(b"HTTP/1.0")
}

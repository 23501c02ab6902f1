//! `tls_inspector`: which name and protocols a client asks for.
use super::{
    super::hello::{self, Hello},
    Stopped, more,
};
use crate::{
    connection::Connection,
    listener::ahead::Ahead,
    stats::{Counter, Histogram, Late, Stats},
};

#[derive(Debug)]
pub(super) struct Inspector {
    found: Late<Counter>,
    not_found: Late<Counter>,
    too_large: Late<Counter>,
    /// Whether there was a name, and whether there were protocols.
    names: [Late<Counter>; 2],
    protocols: [Late<Counter>; 2],
    bytes: Late<Histogram>,
}

impl Inspector {
    pub(super) fn new(stats: &Stats) -> Self {
        let scope = stats.root().scope("tls_inspector");
        Self {
            found: scope.late("tls_found"),
            not_found: scope.late("tls_not_found"),
            too_large: scope.late("client_hello_too_large"),
            names: [scope.late("sni_not_found"), scope.late("sni_found")],
            protocols: [scope.late("alpn_not_found"), scope.late("alpn_found")],
            bytes: scope.late("bytes_processed"),
        }
    }

    pub(super) async fn look(
        &self,
        connection: &mut Connection,
        ahead: &mut Ahead,
    ) -> Result<(), Stopped> {
        let mut hello = hello::read(ahead.bytes());
        while hello == Hello::Undecided {
            more(ahead).await?;
            hello = hello::read(ahead.bytes());
        }
        self.bytes.record(ahead.bytes().len() as u64);
        match hello {
            Hello::Undecided | Hello::Otherwise => self.not_found.inc(),
            Hello::TooLarge => {
                self.too_large.inc();
                return Err(Stopped::Refused("the first message of TLS is too large"));
            }
            Hello::Said(said) => {
                self.found.inc();
                let [without, with] = &self.names;
                if said.server_name.is_some() { with } else { without }.inc();
                let [without, with] = &self.protocols;
                if said.protocols.is_empty() { without } else { with }.inc();
                let facts = &mut connection.facts;
                facts.transport = "tls";
                facts.server_name = said.server_name.unwrap_or_default();
                facts.protocols = said.protocols.into();
            }
        }
        Ok(())
    }
}

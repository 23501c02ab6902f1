//! Addresses of hosts outside of the mesh, as the pod's own resolvers know them.
use crate::dns::{
    forward::Request,
    message::{
        Malformed, Rcode, kind,
        name::Name,
        query::{Asked, Query, parse},
        reply,
        section::{Records, Section},
        write,
    },
    respond::Responder,
    upstream::UpstreamError,
};
use culvert_telemetry::metrics::dns::Protocol;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Asks one pod's resolvers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Lookup {
    responder: Arc<Responder>,
    /// In the order in which they are asked.
    resolvers: Arc<[SocketAddr]>,
}

/// Why there is no address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    #[error("{host} is no host name")]
    NoName { host: Arc<str> },
    #[error("no resolver of the pod is known that could be asked for {host}")]
    NoResolver { host: Arc<str> },
    #[error("{resolver} knows no address of {host}")]
    Unknown { host: Arc<str>, resolver: SocketAddr },
    #[error("{resolver} cannot say what the address of {host} is")]
    Failed { host: Arc<str>, resolver: SocketAddr },
    #[error("nobody says what the address of {host} is")]
    Upstream {
        host: Arc<str>,
        #[source]
        source: UpstreamError,
    },
}

impl Lookup {
    pub(crate) fn new(responder: &Arc<Responder>, resolvers: Arc<[SocketAddr]>) -> Self {
        Self { responder: Arc::clone(responder), resolvers }
    }

    /// The addresses of `host`, a whole name, IPv4 first; at least one.
    ///
    /// # Errors
    ///
    /// When no resolver says one.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let name = Name::from_host(host)
            .map_err(|_malformed: Malformed| LookupError::NoName { host: host.into() })?;
        let mut last = LookupError::NoResolver { host: host.into() };
        for resolver in self.resolvers.iter().copied() {
            let (v4, v6) = tokio::join!(
                self.ask((host, &name), kind::A, resolver),
                self.ask((host, &name), kind::AAAA, resolver)
            );
            last = match (v4, v6) {
                (Err(error), Err(_)) => error,
                (v4, v6) => {
                    let ips = [v4, v6].into_iter().flatten().flatten().collect::<Vec<_>>();
                    if !ips.is_empty() {
                        return Ok(ips);
                    }
                    LookupError::Unknown { host: host.into(), resolver }
                }
            };
            if matches!(last, LookupError::Unknown { .. }) {
                break;
            }
        }
        Err(last)
    }

    async fn ask(
        &self,
        (host, name): (&str, &Name),
        kind: u16,
        resolver: SocketAddr,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let bytes = write::question(name, kind);
        let Ok(Asked::Query(query)) = parse(&bytes) else {
            return Err(LookupError::NoName { host: host.into() });
        };
        let answer = self.fetch(bytes, query, resolver).await;
        let answer =
            answer.map_err(|source| LookupError::Upstream { host: host.into(), source })?;
        match reply::rcode(&answer) {
            Ok(Rcode::NO_ERROR | Rcode::NX_DOMAIN) => Ok(addresses(&answer, kind)),
            _ => Err(LookupError::Failed { host: host.into(), resolver }),
        }
    }

    async fn fetch(
        &self,
        bytes: Vec<u8>,
        query: Query,
        resolver: SocketAddr,
    ) -> Result<Vec<u8>, UpstreamError> {
        let request = |by| Request {
            bytes: bytes.clone(),
            series: self.responder.series(query.question.kind, by),
            query: Some(query.clone()),
            resolver,
            by,
        };
        let forwarder = self.responder.forwarder();
        let answer = forwarder.ask(&request(Protocol::Udp)).await?;
        if reply::is_truncated(&answer) {
            return forwarder.ask(&request(Protocol::Tcp)).await;
        }
        Ok(answer)
    }
}

/// What an answer says, be it of the name itself or of the one it stands for.
fn addresses(answer: &[u8], kind: u16) -> Vec<IpAddr> {
    let records = Records::of(answer).into_iter().flatten().flatten();
    let wanted = records.filter(|record| record.section == Section::Answer && record.kind == kind);
    let read = wanted.filter_map(|record| match kind {
        kind::A => <[u8; 4]>::try_from(record.data).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(record.data).ok().map(IpAddr::from),
    });
    read.collect()
}

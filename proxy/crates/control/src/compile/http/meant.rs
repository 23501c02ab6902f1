//! What manifests mean to requests and connections: compiled, read by our own decoder, and asked as
//! an engine asks.
//!
//! The words of an answer: where a request goes (`reviews:9080/v2`, with its share where chance
//! decides, and what becomes of path and host), or with which status it is answered.
use super::emit::{Emitter, Scope, tests::compiler};
use crate::compile::incremental::Compiler;
use culvert_model::{
    http::{
        cluster::Cluster,
        listener::{Direction, NetworkFilterKind, TcpClusters},
        snapshot::Snapshot,
    },
    name::ObjectName,
};
use culvert_policy::http::{
    facts::{Certificate, Connection, Tls},
    why::{Engine, Outcome, Request, Side, Takes},
};
use std::{net::SocketAddr, sync::Arc};

mod access;

mod documented;

mod laws;

mod many;

mod mutual;

mod gateway_api;

mod gateways;

mod owners;

mod passed;

mod routes;

mod rules;

mod sources;

mod streams;

/// Manifests that are compiled.
struct Meant(Compiler);

/// A request, and the connection that it comes by.
#[derive(Clone, Copy, Debug)]
struct Ask<'a> {
    direction: Direction,
    from: &'a str,
    to: &'a str,
    /// What was proven of the client.
    who: Option<&'a str>,
    /// The name that was asked for in TLS, and whether TLS is spoken with us.
    sni: Option<&'a str>,
    tls: bool,
    method: &'a str,
    path: &'a str,
    host: &'a str,
    headers: &'a [&'a str],
}

/// From the pod `web` to the service `reviews`, at the client.
const WEB: Ask<'static> = Ask {
    direction: Direction::Outbound,
    from: "10.1.0.3:40000",
    to: "10.96.0.1:9080",
    who: None,
    sni: None,
    tls: false,
    method: "GET",
    path: "/",
    host: "reviews.shop",
    headers: &[],
};

/// The same at the server.
const SERVED: Ask<'static> = Ask {
    direction: Direction::Inbound,
    to: "10.1.0.1:8080",
    who: Some("spiffe://cluster.local/ns/shop/sa/web"),
    ..WEB
};

impl Meant {
    fn of(text: &str) -> Self {
        Self(compiler(text))
    }

    fn notes(&self) -> Vec<&str> {
        self.0.mesh().notes.iter().map(|note| note.message.as_str()).collect()
    }

    fn told(&self, scope: Scope) -> Snapshot {
        Emitter::new(scope, self.0.scene()).decoded().unwrap()
    }

    /// The engine of a namespace on `node-a`.
    fn engine(&self, namespace: &str) -> Engine {
        Engine::of(self.told(Scope::of_engine(namespace, "node-a")))
    }

    fn gateway(&self, namespace: &str, name: &str) -> Engine {
        let gateway = Some(ObjectName::new(namespace, name));
        Engine::of(self.told(Scope { gateway, ..Scope::of_engine(namespace, "") }))
    }

    /// A cluster as the engine of the shop has it.
    fn cluster(&self, name: &str) -> Arc<Cluster> {
        let told = self.told(Scope::of_engine("shop", "node-a"));
        Arc::clone(told.clusters().value(name).unwrap_or_else(|| panic!("no {name}")))
    }
}

impl Ask<'_> {
    fn connection(&self) -> Connection {
        let from: SocketAddr = self.from.parse().unwrap();
        let peer = self.who.map(|who| {
            Arc::new(Certificate { uris: [who.into()].into(), ..Certificate::default() })
        });
        let tls = || Tls { version: "TLSv1.3", validated: peer.is_some(), peer, ..Tls::default() };
        Connection {
            remote: Some(from),
            source: Some(from),
            direct_remote: Some(from),
            local: Some(self.to.parse().unwrap()),
            server_name: self.sni.unwrap_or_default().into(),
            transport: if self.tls { "tls" } else { "" },
            tls: (self.tls || self.who.is_some()).then(|| Arc::new(tls())),
            ..Connection::default()
        }
    }

    fn request(&self) -> Request {
        let headers = self.headers.iter().copied();
        Request::parse(self.method, self.path, self.host, headers).unwrap()
    }

    fn side(&self, engine: &Engine) -> Side {
        engine.why(self.connection(), self.direction, &self.request())
    }

    /// What becomes of it, in words.
    fn said(&self, engine: &Engine) -> String {
        said(&self.side(engine), &self.request())
    }
}

fn said(side: &Side, asked: &Request) -> String {
    match &side.takes {
        Takes::Nobody => "nobody".to_owned(),
        Takes::Bytes => format!("bytes to {}", bytes(side)),
        Takes::Requests(passage) => match &passage.outcome {
            Outcome::Refused { status, .. } | Outcome::Stopped { status } => {
                status.as_u16().to_string()
            }
            Outcome::Answered { status, location } => {
                let location = location.as_ref().map_or(String::new(), |to| format!(" {to}"));
                format!("{}{location}", status.as_u16())
            }
            Outcome::Sent(sent) => {
                let each = sent.shares.iter().map(|share| {
                    let weight =
                        share.weight.map_or(String::new(), |(of, all)| format!(" {of}/{all}"));
                    let request = &share.request;
                    let path =
                        (request.path != asked.path).then(|| format!(" as {}", request.path));
                    let host = (request.authority != asked.authority)
                        .then(|| format!(" of {}", request.authority));
                    let (path, host) = (path.unwrap_or_default(), host.unwrap_or_default());
                    format!("{}{weight}{path}{host}", short(&share.cluster))
                });
                each.collect::<Vec<_>>().join(", ")
            }
        },
    }
}

/// Where bytes go.
fn bytes(side: &Side) -> String {
    let filters = side.chain.iter().flat_map(|chain| chain.filters.iter());
    let names = filters.filter_map(|filter| {
        let NetworkFilterKind::TcpProxy(proxy) = &filter.kind else { return None };
        Some(match &proxy.clusters {
            TcpClusters::One(name) => short(name),
            TcpClusters::Weighted(all) => {
                let each = all.iter().map(|one| format!("{} {}", short(&one.name), one.weight));
                each.collect::<Vec<_>>().join(", ")
            }
        })
    });
    names.collect()
}

/// `reviews:9080/v2` for `outbound|9080|v2|reviews.shop.svc.cluster.local`.
fn short(cluster: &str) -> String {
    let parts: Vec<&str> = cluster.split('|').collect();
    let [_, port, subset, host] = parts[..] else { return cluster.to_owned() };
    let name = host.split('.').next().unwrap_or_default();
    let subset = if subset.is_empty() { String::new() } else { format!("/{subset}") };
    format!("{name}:{port}{subset}")
}

//! The answer for a request: the connection's, and what the HTTP engines on its way make of it.
//!
//! In the order of the data path: the engine of the client's namespace on its node, for what must
//! pass it; for each endpoint that it may choose, the policies there at L4, then the engine of the
//! server's namespace on that node.
use super::{Answer, Arrival, Arrivals, NoAnswer, Question, Source, Way, agreed, ends};
use crate::{
    balance::Place,
    http::{
        handed,
        why::{Engine, Request, Side, worse},
    },
    route::must_pass,
};
use culvert_model::{
    facts::{ConnFacts, Direction},
    http::listener,
    identity::Identity,
    member::Tunnel,
    name::ServiceName,
    snapshot::{Known, Snapshot},
};
use std::{net::SocketAddr, sync::Arc};

/// Who knows engines.
pub trait Engines {
    /// What the engine of a namespace on a node runs with.
    ///
    /// # Errors
    ///
    /// Why that is not known here.
    fn engine(&self, namespace: &Arc<str>, node: &Arc<str>) -> Result<Arc<Engine>, Elsewhere>;
}

/// Why it is not known what an engine does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Elsewhere {
    #[error("it runs on the node {0}: ask there")]
    Node(Arc<str>),
    #[error("the control plane has not said on which node it runs")]
    Unplaced,
    #[error("it does not run yet: it begins with the first connection that must pass it")]
    NotYet,
    #[error("it does not understand what it is told: {0}")]
    Wrong(String),
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Through {
    pub source: Source,
    pub request: Request,
    /// Several when a host name has several addresses, and never none.
    pub ways: Vec<Passing>,
}

/// What becomes of the request at one address.
#[derive(Clone, Debug)]
pub struct Passing {
    /// Its connection's, without arrivals.
    pub way: Way,
    /// The service whose clients pass L7, and the engine that finds the way.
    pub client: Option<(ServiceName, Leg)>,
    /// Wherever it may arrive, as far as that is for the mesh to say.
    pub servers: Vec<Server>,
}

/// One engine's part.
#[derive(Clone, Debug)]
pub struct Leg {
    pub namespace: Arc<str>,
    pub node: Arc<str>,
    pub direction: listener::Direction,
    /// Where the connection goes that it takes.
    pub at: SocketAddr,
    pub side: Result<Side, Elsewhere>,
}

/// Where it may arrive.
#[derive(Clone, Debug)]
pub struct Server {
    /// One workload, and what policies say at L4.
    pub arrival: Arrival,
    /// The engine that its connection passes, if it must.
    pub leg: Option<Leg>,
}

impl Question {
    /// Answers it for a request by such a connection.
    ///
    /// # Errors
    ///
    /// When it names what is not there, or leaves open what cannot be guessed.
    pub fn ask_for(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        engines: &dyn Engines,
    ) -> Result<Through, NoAnswer> {
        let source = Source::find(snapshot, &self.source)?;
        let addresses = ends::destinations(snapshot, &source, &self.destination, self.port)?;
        let asking = Asking { snapshot, source: &source, engines };
        let ways = addresses.into_iter().map(|to| asking.passing(to, request)).collect();
        Ok(Through { request: request.clone(), ways, source })
    }
}

struct Asking<'a> {
    snapshot: &'a Snapshot,
    source: &'a Source,
    engines: &'a dyn Engines,
}

impl Asking<'_> {
    fn passing(&self, destination: SocketAddr, request: &Request) -> Passing {
        let mut way = Way::find(self.snapshot, self.source, destination);
        let arrivals = std::mem::take(&mut way.arrivals);
        let client = self.client(destination, request);
        let sent = client.as_ref().and_then(|(_, leg)| leg.side.as_ref().ok());
        let servers = match sent {
            Some(side) => {
                let mut servers: Vec<Server> = Vec::new();
                for share in side.sent().iter().flat_map(|sent| &sent.shares) {
                    let ends = share.endpoints.iter().filter(|endpoint| endpoint.may);
                    for at in ends.filter_map(|endpoint| endpoint.at) {
                        let is_new = !servers.iter().any(|server| server.at() == Some(at));
                        let known = self.snapshot.known_at(at.ip()).filter(|_| is_new);
                        servers
                            .extend(known.and_then(|known| self.server(known, at, &share.request)));
                    }
                }
                servers
            }
            // As if it arrived as it is asked about.
            None => {
                let all = arrivals.iter().flat_map(|arrival| &arrival.at);
                all.filter_map(|(known, at)| self.server(known, *at, request)).collect()
            }
        };
        Passing { way, client, servers }
    }

    /// By the engine of the source's namespace, if that must find the way.
    fn client(&self, to: SocketAddr, request: &Request) -> Option<(ServiceName, Leg)> {
        let known = self.source.known().filter(|known| known.member.tunnel == Tunnel::Hbone)?;
        let bound = must_pass(self.snapshot, known, to)?;
        let leg = self.leg(known, (Direction::Outbound, None), to, request);
        Some((bound.service.host.clone(), leg))
    }

    fn server(&self, known: &Arc<Known>, at: SocketAddr, request: &Request) -> Option<Server> {
        let mut arrivals = Arrivals { source: self.source, list: vec![] };
        arrivals.add(known, &Place::Addr(at));
        let arrival = arrivals.list.pop()?;
        let must = known.member.tunnel == Tunnel::Hbone
            && known.member.l7.contains(at.port())
            && arrival.answer() != Answer::Denied;
        let peer = arrival.peer.clone();
        let leg = must.then(|| self.leg(known, (Direction::Inbound, peer), at, request));
        Some(Server { arrival, leg })
    }

    fn leg(
        &self,
        of: &Known,
        (direction, peer): (Direction, Option<Identity>),
        at: SocketAddr,
        request: &Request,
    ) -> Leg {
        let source = SocketAddr::new(self.source.ip(at.ip()), 0);
        let facts = ConnFacts { source_identity: peer, ..ConnFacts::new(direction, source, at) };
        let direction = match direction {
            Direction::Inbound => listener::Direction::Inbound,
            Direction::Outbound => listener::Direction::Outbound,
        };
        let (namespace, node) =
            (Arc::clone(&of.member.name.namespace), Arc::clone(&of.member.node));
        let engine = self.engines.engine(&namespace, &node);
        let side = engine.map(|engine| engine.why(handed::facts(facts, None), direction, request));
        Leg { namespace, node, direction, at, side }
    }
}

impl Through {
    #[must_use]
    pub fn answer(&self) -> Answer {
        agreed(self.ways.iter().map(Passing::answer))
    }

    /// Every engine's part.
    pub fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.ways.iter().flat_map(|way| {
            let client = way.client.iter().map(|(_, leg)| leg);
            client.chain(way.servers.iter().filter_map(|server| server.leg.as_ref()))
        })
    }
}

impl Passing {
    #[must_use]
    pub fn answer(&self) -> Answer {
        let servers = || agreed(self.servers.iter().map(Server::answer));
        match self.client.as_ref().map(|(_, leg)| &leg.side) {
            Some(Ok(side)) => worse(side.answer(), servers()),
            Some(Err(_)) => match servers() {
                Answer::Denied => Answer::Denied,
                Answer::Permitted | Answer::Depends => Answer::Depends,
            },
            None => worse(self.way.answer(), servers()),
        }
    }
}

impl Server {
    #[must_use]
    pub fn answer(&self) -> Answer {
        let at_l7 = match &self.leg {
            None => Answer::Permitted,
            Some(leg) => leg.answer(),
        };
        worse(self.arrival.answer(), at_l7)
    }

    fn at(&self) -> Option<SocketAddr> {
        self.arrival.at.first().map(|(_, at)| *at)
    }
}

impl Leg {
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.side.as_ref().map_or(Answer::Depends, Side::answer)
    }

    /// Whether its engine may know more in a moment: it has not begun, or nobody takes the connection
    /// yet.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        match &self.side {
            Ok(side) => side.listener.is_none(),
            Err(Elsewhere::NotYet) => true,
            Err(Elsewhere::Node(_) | Elsewhere::Unplaced | Elsewhere::Wrong(_)) => false,
        }
    }
}

//! What is proven of a connection that a node hands over, in the words in which rules and headers
//! ask for it.
use super::facts::{Certificate, Connection, Tls};
use culvert_model::{
    facts::{ConnFacts, Direction},
    identity::Identity,
    party::Party,
};
use std::sync::Arc;

/// What an engine gets to know.
///
/// The client's identity is what the tunnel proved, or the node knows of its own pods; to rules it
/// is as the name in a client certificate. `party`: as whom others are opened for it.
#[must_use]
pub fn facts(facts: ConnFacts, party: Option<Party>) -> Connection {
    let source = Some(facts.source);
    let tls = match (facts.direction, &facts.source_identity) {
        (Direction::Inbound, Some(peer)) => Some(proven(peer, facts.destination_identity.as_ref())),
        (Direction::Inbound | Direction::Outbound, _) => None,
    };
    Connection {
        remote: source,
        source,
        direct_remote: source,
        local: Some(facts.destination),
        // It came to no address of the engine's own.
        direct_local: None,
        tls,
        party: party.map(Arc::new),
        origin: Some(Arc::new(facts)),
        ..Connection::default()
    }
}

fn proven(peer: &Identity, own: Option<&Identity>) -> Arc<Tls> {
    Arc::new(Tls {
        version: "TLSv1.3",
        local: own.map(certificate),
        peer: Some(certificate(peer)),
        validated: true,
        ..Tls::default()
    })
}

/// Of whom nothing but the name is known.
fn certificate(of: &Identity) -> Arc<Certificate> {
    Arc::new(Certificate { uris: [of.to_string().into()].into(), ..Certificate::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_model::name::WorkloadUid;

    #[test]
    fn only_what_was_proven_at_the_server_is_a_principal() {
        let (source, to) = ("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let client = Identity::try_new("td", "shop", "web").unwrap();
        let known = |direction| ConnFacts {
            source_identity: Some(client.clone()),
            ..ConnFacts::new(direction, source, to)
        };
        let party = || Some(Party::Source(WorkloadUid::new("pod")));
        let inbound = facts(known(Direction::Inbound), party());
        let peer = inbound.tls.as_ref().and_then(|tls| tls.peer.clone()).unwrap();
        assert_eq!(&*peer.uris[0], "spiffe://td/ns/shop/sa/web");
        assert!(!inbound.is_secure(), "nobody speaks TLS with the engine");
        assert_eq!((inbound.remote, inbound.restored()), (Some(source), Some(to)));
        assert!(facts(known(Direction::Outbound), party()).tls.is_none());
        assert!(facts(ConnFacts::new(Direction::Inbound, source, to), party()).tls.is_none());
    }
}

//! Decision trees walked: `xds.type.matcher.v3.Matcher`.
use std::{borrow::Cow, net::IpAddr};

use culvert_model::http::tree::{Branch, Input, Node, Predicate, Tree};

use super::{
    facts::{Answer, Asking, Connection, Fields, FilterState},
    query,
};

/// What a tree looks at: a request, or (without one) a connection.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub connection: &'a Connection,
    pub state: &'a FilterState,
    pub asking: Option<&'a Asking<'a>>,
    pub answer: Option<Answer<'a>>,
}

/// The leaf that a tree leads to. A branch that leads nowhere is passed over, as if it had not
/// matched.
#[must_use]
pub fn walk<'t, A>(tree: &'t Tree<A>, seen: &Seen<'_>) -> Option<&'t A> {
    let found = match &tree.node {
        Node::List(list) => {
            let holding = list.iter().filter(|(predicate, _)| holds(predicate, seen));
            holding.map(|(_, branch)| branch).find_map(|branch| follow(branch, seen))
        }
        Node::Exact(input, map) => {
            let value = text(input, seen);
            let branch = value.and_then(|value| map.get(std::str::from_utf8(&value).ok()?));
            branch.and_then(|branch| follow(branch, seen))
        }
        Node::Prefix(input, map) => text(input, seen).and_then(|value| {
            let mut matching: Vec<_> =
                map.iter().filter(|(prefix, _)| value.starts_with(prefix.as_bytes())).collect();
            matching.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            matching.into_iter().find_map(|(_, branch)| follow(branch, seen))
        }),
        Node::Network(input, networks) => address(input, seen).and_then(|address| {
            let mut matching: Vec<_> =
                networks.iter().filter(|(network, _)| network.contains(&address)).collect();
            matching.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
            matching.into_iter().find_map(|(_, branch)| follow(branch, seen))
        }),
        Node::ServerName(input, map) => text(input, seen).and_then(|value| {
            let name = std::str::from_utf8(&value).ok()?.to_ascii_lowercase();
            names(&name).find_map(|name| follow(map.get(&*name)?, seen))
        }),
    };
    found.or_else(|| follow(tree.otherwise.as_ref()?, seen))
}

fn follow<'t, A>(branch: &'t Branch<A>, seen: &Seen<'_>) -> Option<&'t A> {
    match branch {
        Branch::Tree(tree) => walk(tree, seen),
        Branch::Leaf(leaf) => Some(leaf),
    }
}

/// A name, and every wildcard that it falls under, the most specific first.
fn names(name: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let dots = name.match_indices('.').filter_map(|(at, _)| name.get(at..));
    let wildcards = dots.map(|suffix| Cow::Owned(format!("*{suffix}")));
    std::iter::once(Cow::Borrowed(name)).chain(wildcards).chain([Cow::Borrowed("*")])
}

/// Whether a predicate holds; an input that is not there holds nothing.
#[must_use]
pub fn holds(predicate: &Predicate, seen: &Seen<'_>) -> bool {
    match predicate {
        Predicate::Single(input, wanted) => {
            text(input, seen).is_some_and(|value| wanted.matches(&value))
        }
        Predicate::Network(input, networks) => address(input, seen)
            .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
        Predicate::And(all) => all.iter().all(|one| holds(one, seen)),
        Predicate::Or(any) => any.iter().any(|one| holds(one, seen)),
        Predicate::Not(one) => !holds(one, seen),
    }
}

fn address(input: &Input, seen: &Seen<'_>) -> Option<IpAddr> {
    let connection = seen.connection;
    let found = if *input == Input::DestinationIp {
        connection.local?
    } else if *input == Input::SourceIp {
        connection.remote?
    } else if *input == Input::DirectSourceIp {
        connection.direct_remote?
    } else {
        let value = text(input, seen)?;
        return std::str::from_utf8(&value).ok()?.trim().parse().ok();
    };
    Some(found.ip().to_canonical())
}

fn text<'s>(input: &Input, seen: &Seen<'s>) -> Option<Cow<'s, [u8]>> {
    let connection = seen.connection;
    let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
    let borrowed = |text: &'s str| (!text.is_empty()).then_some(Cow::Borrowed(text.as_bytes()));
    match input {
        Input::RequestHeader(name) => {
            let value = seen.asking?.head.joined(name).map(Cow::into_owned);
            value.map(Cow::Owned)
        }
        Input::ResponseHeader(name) => {
            let value = seen.answer.as_ref()?.joined(name).map(Cow::into_owned);
            value.map(Cow::Owned)
        }
        Input::Query(name) => {
            query::parameter(seen.asking?.head.path, name).map(|v| Cow::Borrowed(v.as_bytes()))
        }
        Input::DestinationIp | Input::SourceIp | Input::DirectSourceIp => {
            owned(address(input, seen)?.to_string())
        }
        Input::DestinationPort => owned(connection.local?.port().to_string()),
        Input::SourcePort => owned(connection.remote?.port().to_string()),
        Input::SourceType => super::chain::is_local(connection).then_some(Cow::Borrowed(b"local")),
        Input::ServerName => borrowed(&connection.server_name),
        Input::TransportProtocol => borrowed(connection.transport),
        Input::ApplicationProtocols => {
            let quoted: Vec<_> =
                connection.protocols.iter().map(|one| format!("'{one}'")).collect();
            if quoted.is_empty() { None } else { owned(quoted.join(",")) }
        }
        Input::UriSan => owned(peer(connection)?.uris.join(",")),
        Input::DnsSan => owned(peer(connection)?.names.join(",")),
        Input::Subject => owned(peer(connection)?.subject.to_string()),
        Input::FilterState(key) => seen.state.0.get(key).map(|v| Cow::Borrowed(v.as_bytes())),
        Input::DynamicMetadata(filter, path) => {
            let keys = path.iter().map(|key| &**key);
            let value = seen.asking?.metadata.find(filter, keys)?.as_str()?;
            Some(Cow::Borrowed(value.as_bytes()))
        }
    }
}

fn peer(connection: &Connection) -> Option<&super::facts::Certificate> {
    connection.tls.as_deref()?.peer.as_deref()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use culvert_model::http::{
        matcher::StringMatch,
        tree::{Branch, Input, Node, Predicate, Tree},
    };

    use super::{Seen, walk};
    use crate::http::facts::{Connection, FilterState};

    fn found<'t>(
        tree: &'t Tree<&'static str>,
        connection: &Connection,
    ) -> Option<&'t &'static str> {
        let state = FilterState::default();
        walk(tree, &Seen { connection, state: &state, asking: None, answer: None })
    }

    fn named(name: &str) -> Connection {
        Connection { server_name: name.into(), ..Connection::default() }
    }

    #[test]
    fn the_most_specific_name_is_taken() {
        let map = ["a.b.c", "*.b.c", "*.c", "*"].map(|name| (name.into(), Branch::Leaf(name)));
        let node = Node::ServerName(Input::ServerName, map.into());
        let tree = Tree { node, otherwise: None };
        for (name, wanted) in [
            ("A.b.c", Some("a.b.c")),
            ("x.b.c", Some("*.b.c")),
            ("b.c", Some("*.c")),
            ("z", Some("*")),
        ] {
            assert_eq!(found(&tree, &named(name)).copied(), wanted, "{name}");
        }
        assert_eq!(found(&tree, &Connection::default()), None);
    }

    #[test]
    fn the_longest_network_is_taken_and_dead_ends_are_passed_over() {
        let empty = Tree { node: Node::List(Box::default()), otherwise: None };
        let networks = [
            ("10.0.0.0/8".parse().unwrap(), Branch::Leaf("eight")),
            ("10.1.0.0/16".parse().unwrap(), Branch::Leaf("sixteen")),
            ("10.1.1.0/24".parse().unwrap(), Branch::Tree(Arc::new(empty))),
        ];
        let node = Node::Network(Input::SourceIp, networks.into());
        let tree = Tree { node, otherwise: Some(Branch::Leaf("none")) };
        let from = |ip: &str| Connection {
            remote: Some(format!("{ip}:1").parse().unwrap()),
            ..Connection::default()
        };
        assert_eq!(found(&tree, &from("10.2.0.1")), Some(&"eight"));
        assert_eq!(found(&tree, &from("10.1.1.1")), Some(&"sixteen"));
        assert_eq!(found(&tree, &from("[::ffff:10.2.0.1]")), Some(&"eight"));
        assert_eq!(found(&tree, &from("11.0.0.1")), Some(&"none"));
    }

    #[test]
    fn lists_take_the_first_that_holds() {
        let single = |name: &str| Predicate::Single(Input::ServerName, StringMatch::exact(name));
        let list = [
            (Predicate::And([single("a"), single("b")].into()), Branch::Leaf("both")),
            (Predicate::Or([single("a"), single("b")].into()), Branch::Leaf("either")),
            (Predicate::Not(single("c").into()), Branch::Leaf("not c")),
        ];
        let tree = Tree { node: Node::List(list.into()), otherwise: Some(Branch::Leaf("rest")) };
        assert_eq!(found(&tree, &named("a")), Some(&"either"));
        assert_eq!(found(&tree, &named("x")), Some(&"not c"));
        assert_eq!(found(&tree, &named("c")), Some(&"rest"));
        let exact = Node::Exact(
            Input::DestinationPort,
            BTreeMap::from([("80".into(), Branch::Leaf("web"))]),
        );
        let tree = Tree { node: exact, otherwise: None };
        let to = Connection { local: Some("[::1]:80".parse().unwrap()), ..Connection::default() };
        assert_eq!(found(&tree, &to), Some(&"web"));
    }
}

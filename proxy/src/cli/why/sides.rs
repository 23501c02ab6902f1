//! What other nodes know of a request: the side of each server whose node is not the one that was
//! asked. Pure; whoever asks them puts in what they say.
use crate::admin::{view, why::Wanted};
use culvert_policy::{
    http::why::worse,
    why::{Answer, Elsewhere, agreed},
};

/// A server's side that only its own node can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Its place in the answer.
    way: usize,
    arrival: usize,
    pub(super) node: String,
    /// The server's own address.
    pub(super) to: String,
    /// The request, as the client's side sends it there.
    pub(super) wanted: Wanted,
}

/// Those of an answer; `asked` is the request as it was made, with its host.
pub(super) fn gaps(answer: &view::Why, asked: &Wanted) -> Vec<Gap> {
    let ways = answer.ways.iter().enumerate();
    let all = ways.flat_map(|(way, said)| {
        let arrivals = said.arrivals.iter().enumerate();
        arrivals.filter_map(move |(arrival, told)| {
            let side = told.server.as_ref()?;
            let elsewhere = Elsewhere::Node(side.node.as_str().into()).to_string();
            let (_, to) = told.at.first()?.rsplit_once(' ')?;
            (side.unknown.as_ref() == Some(&elsewhere)).then(|| Gap {
                way,
                arrival,
                node: side.node.clone(),
                to: to.to_owned(),
                wanted: sent(said.client.as_ref(), to, asked),
            })
        })
    });
    all.collect()
}

/// The request as it arrives at an endpoint.
fn sent(client: Option<&view::Side>, to: &str, asked: &Wanted) -> Wanted {
    let clusters = client.and_then(|side| side.sent.as_ref()).map(|sent| &sent.clusters);
    let mut clusters = clusters.into_iter().flatten();
    let leads_there = |one: &&view::Cluster| one.endpoints.iter().any(|end| end.address == to);
    let Some(cluster) = clusters.find(leads_there) else { return asked.clone() };
    Wanted {
        method: asked.method.clone(),
        path: Some(cluster.path.clone()),
        host: Some(cluster.host.clone()),
        headers: match &cluster.headers {
            Some(headers) => Some(headers.join("\n")).filter(|headers| !headers.is_empty()),
            None => asked.headers.clone(),
        },
    }
}

/// Puts in what the server's node says of its side.
pub(super) fn fill(answer: &mut view::Why, gap: &Gap, told: &view::Why) {
    let arrivals = told.ways.iter().flat_map(|way| &way.arrivals);
    let known = arrivals.into_iter().find(|arrival| {
        arrival.server.as_ref().is_some_and(|side| side.node == gap.node && side.unknown.is_none())
    });
    let way = answer.ways.get_mut(gap.way);
    let Some((way, known)) = way.zip(known) else { return };
    let Some(place) = way.arrivals.get_mut(gap.arrival) else { return };
    if let Some(text) = spliced(&answer.text, place, &told.text) {
        answer.text = text;
    }
    *place = view::Arrival { at: place.at.clone(), ..known.clone() };
    let client = match &way.client {
        Some(side) => Answer::read(&side.answer),
        None => Answer::Permitted,
    };
    let arrivals = agreed(way.arrivals.iter().map(|arrival| Answer::read(&arrival.answer)));
    way.answer = worse(client, arrivals).to_string();
    let before = std::mem::take(&mut answer.answer);
    answer.answer = agreed(answer.ways.iter().map(|way| Answer::read(&way.answer))).to_string();
    if let Some(rest) = answer.text.strip_prefix(&*before) {
        answer.text = format!("{}{rest}", answer.answer);
    }
}

/// The text with what was told in the place where it says whom to ask; `None`: it does not.
fn spliced(text: &str, gap: &view::Arrival, told: &str) -> Option<String> {
    let side = gap.server.as_ref()?;
    let (name, address) = gap.at.first()?.rsplit_once(' ')?;
    let passes = format!("  passes L7 of {} on node {}", side.namespace, side.node);
    let open = format!("{passes}: {}", side.unknown.as_ref()?);
    let at = format!("at {name} ({address})");
    let mut lines: Vec<&str> = text.lines().collect();
    let begins = lines.iter().position(|line| line.starts_with(&at))?;
    let place = lines.iter().skip(begins).position(|line| **line == *open)? + begins;
    let mut told = told.lines().skip_while(|line| **line != *passes);
    let first = told.next()?;
    let block = [first].into_iter().chain(told.take_while(|line| line.starts_with("    ")));
    lines.splice(place..=place, block);
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn client() -> Value {
        let endpoint = |address: &str| json!({"address": address, "eligible": true, "health": "healthy", "priority": 0});
        json!({
            "namespace": "shop", "node": "a", "answer": "permitted",
            "sent": {"clusters": [{
                "name": "reviews", "percent": 100.0, "exists": true, "path": "/inner",
                "host": "reviews", "headers": ["x-user:tester"],
                "endpoints": [endpoint("10.2.0.1:8080"), endpoint("10.2.0.2:8080")],
            }]},
        })
    }

    /// What node `a` says, of a server on `b` and one on `c`.
    fn asked() -> view::Why {
        let arrival = |at: &str, node: &str| {
            json!({
                "at": [at], "answer": "depends", "because": "no ALLOW policy speaks of it",
                "server": {
                    "namespace": "shop", "node": node, "answer": "depends",
                    "unknown": format!("it runs on the node {node}: ask there"),
                },
            })
        };
        let document = json!({
            "answer": "depends", "source": "shop/web",
            "ways": [{
                "destination": "10.96.0.1:80", "answer": "depends", "client": client(),
                "arrivals": [arrival("shop/v1 10.2.0.1:8080", "b"), arrival("shop/v2 10.2.0.2:8080", "c")],
            }],
            "text": "depends\nfrom shop/web\nto 10.96.0.1:80\n\
                     at shop/v1 (10.2.0.1:8080) in plain text\n  permitted: nobody asks\n  \
                     passes L7 of shop on node b: it runs on the node b: ask there\n\
                     at shop/v2 (10.2.0.2:8080) in plain text\n  permitted: nobody asks\n  \
                     passes L7 of shop on node c: it runs on the node c: ask there\n",
        });
        serde_json::from_value(document).unwrap()
    }

    /// What a server's node says of itself.
    fn told(node: &str, answer: &str) -> view::Why {
        let document = json!({
            "answer": answer, "source": "shop/web",
            "ways": [{
                "destination": "10.2.0.1:8080", "answer": answer,
                "arrivals": [{
                    "at": ["shop/v 10.2.0.1:8080"], "answer": answer, "because": "nobody asks",
                    "server": {"namespace": "shop", "node": node, "answer": answer, "listener": "inbound"},
                }],
            }],
            "text": format!(
                "{answer}\nfrom shop/web\nto 10.2.0.1:8080\nat shop/v (10.2.0.1:8080) in plain text\n  \
                 permitted: nobody asks\n  passes L7 of shop on node {node}\n    listener inbound\n      + ALLOW\n"
            ),
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn each_server_is_asked_for_what_arrives_there() {
        let asked_for =
            Wanted { path: Some("/".into()), host: Some("r".into()), ..Wanted::default() };
        let gaps = gaps(&asked(), &asked_for);
        let places: Vec<_> = gaps.iter().map(|gap| (&*gap.node, &*gap.to)).collect();
        assert_eq!(places, [("b", "10.2.0.1:8080"), ("c", "10.2.0.2:8080")]);
        let arrives = &gaps[0].wanted;
        assert_eq!(
            (arrives.path.as_deref(), arrives.host.as_deref()),
            (Some("/inner"), Some("reviews"))
        );
        assert_eq!(arrives.headers.as_deref(), Some("x-user:tester"));
        let mut untold = asked();
        untold.ways[0].client = None;
        assert_eq!(super::gaps(&untold, &asked_for)[0].wanted, asked_for);
    }

    #[test]
    fn the_answer_is_what_all_of_them_say() {
        for (second, whole) in [("permitted", "permitted"), ("denied", "depends")] {
            let mut answer = asked();
            let gaps = gaps(&answer, &Wanted::default());
            fill(&mut answer, &gaps[0], &told("b", "permitted"));
            assert_eq!(answer.answer, "depends", "one is not known");
            fill(&mut answer, &gaps[1], &told("c", second));
            assert_eq!((&*answer.answer, &*answer.ways[0].answer), (whole, whole));
            assert_eq!(answer.ways[0].arrivals[1].at, ["shop/v2 10.2.0.2:8080"]);
            assert!(super::gaps(&answer, &Wanted::default()).is_empty());
            let text = format!(
                "{whole}\nfrom shop/web\nto 10.96.0.1:80\n\
                 at shop/v1 (10.2.0.1:8080) in plain text\n  permitted: nobody asks\n  \
                 passes L7 of shop on node b\n    listener inbound\n      + ALLOW\n\
                 at shop/v2 (10.2.0.2:8080) in plain text\n  permitted: nobody asks\n  \
                 passes L7 of shop on node c\n    listener inbound\n      + ALLOW\n"
            );
            assert_eq!(answer.text, text);
        }
    }

    #[test]
    fn a_node_that_does_not_know_changes_nothing() {
        let mut answer = asked();
        let before = serde_json::to_string(&answer).unwrap();
        let gap = gaps(&answer, &Wanted::default()).remove(0);
        fill(&mut answer, &gap, &told("elsewhere", "permitted"));
        assert_eq!(serde_json::to_string(&answer).unwrap(), before);
    }
}

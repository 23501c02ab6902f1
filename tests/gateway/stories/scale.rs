//! Many clusters in one configuration.
use super::stage::Stage;
use crate::{case::Ask, client::Client};
use std::fmt::Write as _;

pub(super) fn thousand() {
    clusters(1_000);
}

pub(super) fn ten_thousand() {
    clusters(10_000);
}

/// What so many clusters cost, and that the last one works as the first.
fn clusters(count: usize) {
    let mut text = "clusters:\n".to_owned();
    for at in 0..count {
        writeln!(text, "  cluster-{at}: {{to: [b1]}}").unwrap();
    }
    text += "routes: [{match: {prefix: /}, route: {cluster_header: x-cluster}}]\n";
    let stage = Stage::start(&format!("scale_{count}"), &text);
    let mut client =
        Client::new(stage.scene.ports.named().clone(), stage.scene.certificates.clone());
    for at in [0, count / 2, count - 1] {
        let ask = Ask {
            get: Some("/".into()),
            headers: crate::case::Headers::List(vec![(
                "x-cluster".into(),
                format!("cluster-{at}"),
            )]),
            ..Ask::default()
        };
        let answer = stage.runtime.block_on(client.ask(&ask));
        assert_eq!(answer["line"], "HTTP/1.1 200 OK", "{answer}");
    }
    let (memory, stats) = (stage.memory(), stage.server.stats().len());
    println!("{count} clusters: {memory} kB, {stats} numbers");
    if super::stage::which() == crate::server::Which::Culvert {
        assert!(stats < 4 * count + 1_000, "{stats} numbers for {count} clusters");
        assert!(memory < 150_000 + 20 * u64::try_from(count).unwrap(), "{memory} kB");
    }
}

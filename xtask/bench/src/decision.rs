//! P17: what it takes to decide about a new connection when the mesh has thousands of policies.
//!
//! In this process: the crate that decides is pure, and the bench is built as it is released.
use std::{hint::black_box, net::IpAddr, sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Rule, Scope,
        join::Policies,
        set::{Condition, StringMatch},
    },
    identity::Identity,
    name::ObjectName,
};
use culvert_policy::{Facts, decide};

use crate::{
    Programs,
    report::{Finding, Limit},
    rounds::{ROUNDS, median},
};

const GOAL: &str = "P17";

/// Decisions of a round.
const DECISIONS: u32 = 100_000;

/// Who is asked about, and where.
const NAMESPACE: &str = "shop";
const DESTINATION: ([u8; 4], u16) = ([10, 3, 2, 1], 8080);
const SOURCE: [u8; 4] = [10, 1, 2, 3];

/// Policies of the whole mesh, and how many of them speak of the destination.
const WORLDS: &[(usize, usize)] = &[(1000, 0), (1000, 10), (10_000, 0), (10_000, 10)];

/// Measures what is permitted by the last rule there is, and what no rule permits.
pub(crate) fn measure(_: &Programs) -> Result<Vec<Finding>> {
    WORLDS.iter().map(|&(all, own)| one(all, own)).collect()
}

fn one(all: usize, own: usize) -> Result<Finding> {
    let mut policies = Policies::new(
        (0..own)
            .map(|at| {
                policy(
                    NAMESPACE,
                    at,
                    if at.is_multiple_of(3) { Action::Deny } else { Action::Allow },
                )
            })
            .chain((own..all).map(|at| policy(&format!("ns-{}", at % 100), at, Action::Allow)))
            .collect::<Result<Vec<_>>>()?,
    );
    let authz = policies.join(&NAMESPACE.into(), &[]);
    // The slower of the two: one that the last ALLOW lets in, and one whom none does.
    let last = (0..own).rev().find(|at| !at.is_multiple_of(3)).unwrap_or(0);
    let mut slowest = f64::NEG_INFINITY;
    for account in [format!("client-{last}"), "stranger".to_owned()] {
        let peer = Identity::try_new("cluster.local", NAMESPACE, &account)?;
        let (address, port) = DESTINATION;
        let facts = Facts::new(Some(&peer), SOURCE.into(), (IpAddr::from(address), port).into());
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for _ in 0..DECISIONS {
                black_box(&decide(black_box(&authz), black_box(&facts)));
            }
            rounds.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS));
        }
        slowest = slowest.max(median(&rounds));
    }
    let what = format!("decision per connection, {all} policies of which {own} select it");
    Ok(Finding::new(GOAL, what, slowest, "µs").held_to(Limit::AtMost(2.0)))
}

/// Names ten principals and those of an ending, two networks and two ports.
fn policy(namespace: &str, at: usize, action: Action) -> Result<Arc<Authorization>> {
    let who = match action {
        Action::Allow => namespace,
        Action::Deny => "nobody",
    };
    let principals = (0..10)
        .map(|account| {
            StringMatch::Exact(format!("cluster.local/ns/{who}/sa/p{at}-{account}").into())
        })
        .chain([StringMatch::Suffix(format!("/ns/{who}/sa/client-{at}").into())])
        .collect();
    let networks = ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse());
    let from = Match {
        principals: Condition { is: principals, ..Condition::default() },
        source_ips: Condition {
            is: networks.collect::<Result<_, _>>().context("networks")?,
            ..Condition::default()
        },
        ..Match::default()
    };
    let to = Match {
        destination_ports: Condition {
            is: [80, DESTINATION.1].into_iter().collect(),
            ..Condition::default()
        },
        ..Match::default()
    };
    let clause = |one| Clause { matches: [one].into() };
    Ok(Arc::new(Authorization {
        name: ObjectName::new(namespace, format!("policy-{at:05}")),
        scope: Scope::Namespace,
        action,
        dry_run: false,
        rules: [Rule { clauses: [clause(from), clause(to)].into() }].into(),
        origin: None,
    }))
}

//! One decision, with policies that select the workload and policies that do not.
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use culvert_model::{
    authz::{
        Action, Authorization, Clause, Match, Rule, Scope,
        join::Policies,
        set::{Condition, StringMatch},
    },
    identity::Identity,
    name::ObjectName,
};
use culvert_policy::{Facts, decide, explain};
use std::{hint::black_box, net::IpAddr, sync::Arc};

/// Allows ten principals, two networks and a port; matches only peers of namespace `shop`.
fn policy(namespace: &str, at: usize, action: Action) -> Arc<Authorization> {
    let who = match action {
        Action::Allow => namespace,
        Action::Deny => "nobody",
    };
    let principals = (0..10)
        .map(|sa| StringMatch::Exact(format!("cluster.local/ns/{who}/sa/p{at}-{sa}").into()))
        .chain([StringMatch::Suffix(format!("/ns/{who}/sa/client-{at}").into())])
        .collect();
    let from = Match {
        principals: Condition { is: principals, ..Condition::default() },
        source_ips: Condition {
            is: [net("10.0.0.0/8"), net("fd00::/8")].into_iter().collect(),
            ..Condition::default()
        },
        ..Match::default()
    };
    let to = Match {
        destination_ports: Condition {
            is: [80, 8080].into_iter().collect(),
            ..Condition::default()
        },
        ..Match::default()
    };
    let clause = |one| Clause { matches: [one].into() };
    Arc::new(Authorization {
        name: ObjectName::new(namespace, format!("policy-{at:04}")),
        scope: Scope::Namespace,
        action,
        dry_run: false,
        rules: [Rule { clauses: [clause(from), clause(to)].into() }].into(),
        origin: None,
    })
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().expect("is a network")
}

/// `own` policies of namespace `shop`, a third of them DENY, among `all`.
fn world(own: usize, all: usize) -> Policies {
    let action = |at: usize| if at.is_multiple_of(3) { Action::Deny } else { Action::Allow };
    let own_policies = (0..own).map(|at| policy("shop", at, action(at)));
    let others = (own..all).map(|at| policy(&format!("ns-{}", at % 100), at, action(at)));
    Policies::new(own_policies.chain(others))
}

fn decisions(criterion: &mut Criterion) {
    let peer = |sa: &str| Identity::try_new("cluster.local", "shop", sa).expect("is one");
    let source = IpAddr::from([10, 1, 2, 3]);
    let destination = (IpAddr::from([10, 3, 2, 1]), 8080).into();
    let mut group = criterion.benchmark_group("decide");
    for (own, all) in [(0, 1000), (10, 10), (10, 1000), (10, 10_000), (100, 1000), (1000, 1000)] {
        let authz = world(own, all).join(&"shop".into(), &[]);
        // The last ALLOW of them matches the one, none the other.
        let last = (0..own).rev().find(|at| !at.is_multiple_of(3)).unwrap_or(0);
        for (what, peer) in [("permit", peer(&format!("client-{last}"))), ("denial", peer("x"))] {
            let id = BenchmarkId::new(what, format!("{own}of{all}"));
            group.bench_function(id, |b| {
                b.iter(|| {
                    let facts = Facts::new(Some(black_box(&peer)), source, destination);
                    decide(black_box(&authz), &facts)
                });
            });
        }
    }
    group.finish();

    let authz = world(10, 1000).join(&"shop".into(), &[]);
    let peer = peer("x");
    criterion.bench_function("explain/10of1000", |b| {
        let facts = Facts::new(Some(&peer), source, destination);
        b.iter(|| explain(black_box(&authz), &facts));
    });
    criterion.bench_function("join/10000 workloads of 100 namespaces, 1000 policies", |b| {
        let namespaces: Vec<Arc<str>> = (0..100).map(|at| format!("ns-{at}").into()).collect();
        b.iter_batched(
            || world(0, 1000),
            |mut policies| {
                for at in 0..10_000 {
                    black_box(policies.join(&namespaces[at % 100], &[]));
                }
            },
            criterion::BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);

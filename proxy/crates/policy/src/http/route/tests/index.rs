//! The index finds what a walk finds.
use proptest::prelude::*;

use super::*;

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "A", ""]), 0..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn when() -> impl Strategy<Value = RouteMatch> {
    let text = (path(), prop::bool::weighted(0.2))
        .prop_map(|(path, ignore_case)| PathText::new(&path, ignore_case))
        .boxed();
    let path = prop_oneof![
        4 => text.clone().prop_map(PathMatch::Prefix),
        2 => text.clone().prop_map(PathMatch::Exact),
        2 => text.prop_map(|text| {
            let bare = text.as_str().trim_end_matches('/');
            PathMatch::Separated(PathText::new(bare, text.ignores_case()))
        }),
        1 => Just(PathMatch::Regex(Regex::new("/a.*").unwrap())),
        1 => Just(PathMatch::Connect),
    ];
    (path, prop::option::weighted(0.3, 0_u8..3)).prop_map(|(path, wanted)| RouteMatch {
        headers: wanted.map(|wanted| header("x-a", &wanted.to_string())).into_iter().collect(),
        ..RouteMatch::path(path)
    })
}

proptest! {
    #[test]
    fn the_index_finds_what_a_walk_finds(
        all in prop::collection::vec(when(), 0..60),
        paths in prop::collection::vec((path(), 0_u8..3), 1..20),
    ) {
        let all: Vec<_> =
            all.into_iter().enumerate().map(|(at, when)| route(&at.to_string(), when)).collect();
        let table = routes(all);
        for (path, value) in paths {
            let request = Req::get("h", &path).with("x-a", &value.to_string());
            let walked = request.ask(|asking| {
                table.explain(asking).route().map_or("nowhere".into(), |r| r.name.to_string())
            });
            prop_assert_eq!(name_of(&table, &request), walked, "{}", path);
        }
    }
}

#[test]
fn deeply_nested_prefixes_are_walked() {
    let all =
        (0..2000).rev().map(|n| route(&n.to_string(), RouteMatch::path(prefix(&"/".repeat(n)))));
    let table = routes(all.collect());
    assert_eq!(name_of(&table, &Req::get("h", "/////")), "5");
}

proptest! {
    #[test]
    fn a_table_after_another_is_as_it_would_be_without_it(
        before in prop::collection::vec((0_u8..4, 0_usize..12), 0..5),
        after in prop::collection::vec((0_u8..4, 0_usize..12, any::<bool>()), 0..5),
    ) {
        let make = |(domain, count): (u8, usize)| {
            let routes = (0..count).map(|at| {
                let path = prefix(&format!("/{}", count - at));
                route(&format!("{domain} {count} {at}"), RouteMatch::path(path))
            });
            Arc::new(host(&format!("h{domain}"), &[&format!("d{domain}")], routes.collect()))
        };
        let old: Vec<_> = before.iter().copied().map(make).collect();
        let new: Vec<_> = after.iter().enumerate().map(|(at, (domain, count, stays))| {
            old.get(at).filter(|_| *stays).cloned().unwrap_or_else(|| make((*domain, *count)))
        }).collect();
        let of = |hosts: &[Arc<VirtualHost>]| {
            Arc::new(RouteTable { hosts: hosts.into(), ..RouteTable::default() })
        };
        let follows = Table::new(of(&old)).after(of(&new));
        let anew = Table::new(of(&new));
        for domain in 0..4 {
            for path in 0..13 {
                let request = Req::get(&format!("d{domain}"), &format!("/{path}"));
                prop_assert_eq!(name_of(&follows, &request), name_of(&anew, &request));
            }
        }
    }
}

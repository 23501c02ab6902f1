use culvert_model::http::{
    format::Template,
    matcher::{StringMatch, StringPattern},
    mutation::{Append, HeaderMutations, HeaderValue, Mutation},
};
use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::{Message, filter_headers, no_headers, route_headers};
use crate::http::{
    facts::Head,
    format::{Nothing, Scene},
};

fn set(name: &str, value: &str, how: Append) -> Mutation {
    Mutation::Set(HeaderValue {
        name: name.parse().unwrap(),
        value: Template::header(value).unwrap(),
        how,
        keep_empty: false,
    })
}

fn after(mutations: Vec<Mutation>, filter: bool, before: &[(&str, &str)]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    for (name, value) in before {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let head = Head {
        method: &Method::GET,
        path: "/p?q",
        authority: "h",
        scheme: "http",
        protocol: None,
        headers: no_headers(),
    };
    let scene = Scene { request: Some(head), ..Scene::new(&Nothing) };
    let change = if filter { filter_headers } else { route_headers };
    change(&HeaderMutations(mutations.into()), Message::Request, &mut headers, &scene);
    let mut all: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn each_action_minds_what_is_there() {
    for (how, absent, present) in [
        (Append::AppendOrAdd, &["a: 2"][..], &["a: 1", "a: 2"][..]),
        (Append::AddIfAbsent, &["a: 2"], &["a: 1"]),
        (Append::OverwriteOrAdd, &["a: 2"], &["a: 2"]),
        (Append::OverwriteIfExists, &[], &["a: 2"]),
    ] {
        for filter in [false, true] {
            assert_eq!(after(vec![set("a", "2", how)], filter, &[]), absent, "{how:?}");
            let there = after(vec![set("a", "2", how)], filter, &[("a", "1")]);
            assert_eq!(there, present, "{how:?}");
        }
    }
}

#[test]
fn a_route_replaces_before_it_adds_and_a_filter_keeps_to_the_order() {
    let both = vec![set("a", "1", Append::AppendOrAdd), set("a", "2", Append::OverwriteOrAdd)];
    assert_eq!(after(both.clone(), false, &[]), ["a: 1", "a: 2"]);
    assert_eq!(after(both, true, &[]), ["a: 2"]);
}

#[test]
fn values_see_the_headers_as_they_are() {
    let copied = vec![
        Mutation::Remove("gone".parse().unwrap()),
        set("a", "%REQ(b)%-%REQ(gone)%-%REQ(:path)%", Append::OverwriteOrAdd),
        set("c", "%REQ(a)%", Append::OverwriteOrAdd),
    ];
    let before = [("a", "old"), ("b", "B"), ("gone", "G")];
    assert_eq!(after(copied.clone(), false, &before), ["a: B--/p?q", "b: B", "c: old"]);
    assert_eq!(after(copied, true, &before), ["a: B--/p?q", "b: B", "c: B--/p?q"]);
}

#[test]
fn what_comes_out_empty_is_not_added() {
    assert!(after(vec![set("a", "%REQ(none)%", Append::AppendOrAdd)], false, &[]).is_empty());
}

#[test]
fn names_can_be_removed_by_pattern() {
    let pattern = StringMatch::new(StringPattern::Prefix("x-".into()), true);
    let left = after(
        vec![Mutation::RemoveMatching(pattern)],
        true,
        &[("x-a", "1"), ("x-b", "2"), ("y", "3")],
    );
    assert_eq!(left, ["y: 3"]);
}

proptest! {
    #[test]
    fn no_value_breaks_the_headers(value in "[ -~\u{80}-\u{100}]{0,12}") {
        if let Ok(template) = Template::header(&value) {
            let one = Mutation::Set(HeaderValue {
                name: "a".parse().unwrap(),
                value: template,
                how: Append::AppendOrAdd,
                keep_empty: true,
            });
            let mutations = HeaderMutations([one].into());
            let scene =
                Scene::new(&Nothing);
            let mut headers = HeaderMap::new();
            route_headers(&mutations, Message::Request, &mut headers, &scene);
            prop_assert!(headers.len() <= 1);
        }
    }
}

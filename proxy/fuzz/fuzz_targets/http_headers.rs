//! Headers of any names and values, changed in any order: no panic, and every value still one that
//! a message can carry.
#![no_main]
use culvert_model::http::{
    format::Template,
    manager::ClientAddress,
    mutation::{Append, HeaderMutations, HeaderValue, Mutation},
};
use culvert_policy::http::{
    client::{Arrival, identify},
    facts::Head,
    format::{Nothing, Scene},
    mutate::{Message, filter_headers, no_headers, route_headers},
};
use http::{HeaderMap, Method};
use libfuzzer_sys::fuzz_target;

fn once(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let mut headers = HeaderMap::new();
    let mut mutations = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if at % 3 == 0 {
            let name: Result<http::HeaderName, _> = name.parse();
            let value: Result<http::HeaderValue, _> = value.parse();
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
            continue;
        }
        let (Ok(name), Ok(value)) = (name.parse(), Template::header(value)) else { continue };
        let how = [
            Append::AppendOrAdd,
            Append::AddIfAbsent,
            Append::OverwriteOrAdd,
            Append::OverwriteIfExists,
        ][at % 4];
        mutations.push(if at % 5 == 0 {
            Mutation::Remove(name)
        } else {
            Mutation::Set(HeaderValue { name, value, how, keep_empty: at % 2 == 0 })
        });
    }
    let mutations = HeaderMutations(mutations.into());
    let head = Head {
        method: &Method::GET,
        path: "/",
        authority: "h",
        scheme: "http",
        protocol: None,
        headers: no_headers(),
    };
    let scene = Scene { request: Some(head), ..Scene::new(&Nothing) };
    let mut by_filter = headers.clone();
    route_headers(&mutations, Message::Request, &mut headers, &scene);
    filter_headers(&mutations, Message::Request, &mut by_filter, &scene);
    for (hops, edge) in [(0, true), (2, true), (0, false), (3, false)] {
        let options = ClientAddress {
            use_remote_address: edge,
            trusted_hops: hops,
            ..ClientAddress::default()
        };
        let arrival =
            Arrival { peer: ([127, 0, 0, 1], 9).into(), own: [10, 0, 0, 1].into(), secure: false };
        let found = identify(&options, arrival, &[], &mut headers.clone());
        assert!(found.is_ok(), "nothing was demanded");
    }
}

fuzz_target!(|text: &str| once(text));

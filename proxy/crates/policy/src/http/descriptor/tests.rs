use std::time::Duration;

use culvert_model::http::{
    format::Template,
    ratelimit::{Bucket, DescriptorAction, LocalDescriptor, RateLimitActions},
    runtime::RuntimeValues,
    value::Metadata,
};
use http::{HeaderMap, Method};

use super::{Around, Entries, local, of};
use crate::http::{
    facts::{Asking, Connection, FilterState, Head},
    format::{Nothing, Scene},
};

fn made(actions: Vec<DescriptorAction>) -> Vec<(Entries, u64)> {
    let mut headers = HeaderMap::new();
    headers.insert("x-a", "1".parse().unwrap());
    let head = Head {
        method: &Method::GET,
        path: "/?q=2",
        authority: "h",
        scheme: "http",
        protocol: None,
        headers: &headers,
    };
    let connection =
        Connection { remote: Some("10.1.2.3:4".parse().unwrap()), ..Connection::default() };
    let (metadata, state, runtime) =
        (Metadata::default(), FilterState::default(), RuntimeValues::default());
    let asking = Asking {
        head,
        connection: &connection,
        metadata: &metadata,
        state: &state,
        runtime: &runtime,
        dice: 0,
    };
    let scene = Scene { request: Some(head), ..Scene::new(&Nothing) };
    let limit = RateLimitActions {
        stage: 0,
        disable_key: None,
        actions: actions.into(),
        hits: None,
        on_response: false,
    };
    let around = Around { own: "me", cluster: "c", route: &metadata, scene: &scene };
    of(&[limit], 0, &asking, around)
}

fn entries(all: &[(&str, &str)]) -> Entries {
    all.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

fn header(name: &str, skip_if_absent: bool) -> DescriptorAction {
    DescriptorAction::RequestHeader { name: name.parse().unwrap(), key: "k".into(), skip_if_absent }
}

#[test]
fn actions_make_entries_or_nothing_at_all() {
    let generic = DescriptorAction::GenericKey {
        key: "generic_key".into(),
        value: "v-%REQ(x-a)%".parse::<Template>().unwrap(),
    };
    let masked = DescriptorAction::MaskedRemoteAddress { v4: 16, v6: 64 };
    let all = vec![header("x-a", false), DescriptorAction::RemoteAddress, masked, generic];
    let wanted = [
        ("k", "1"),
        ("remote_address", "10.1.2.3"),
        ("masked_remote_address", "10.1.0.0/16"),
        ("generic_key", "v-1"),
    ];
    assert_eq!(made(all), [(entries(&wanted), 1)]);
    assert!(made(vec![header("x-a", false), header("x-b", false)]).is_empty());
    let one = made(vec![header("x-a", false), header("x-b", true)]);
    assert_eq!(one, [(entries(&[("k", "1")]), 1)]);
}

#[test]
fn the_first_that_fits_is_meant() {
    let bucket = Bucket { max: 1, per_fill: 1, interval: Duration::from_secs(1) };
    let of = |all: &[(&str, &str)]| LocalDescriptor { entries: entries(all).into(), bucket };
    let configured = [of(&[("a", "1")]), of(&[("a", "")]), of(&[("a", "1"), ("b", "")])];
    let found = |all: &[(&str, &str)]| {
        let found = local(&configured, &entries(all))?;
        configured.iter().position(|one| one == found)
    };
    assert_eq!(found(&[("a", "1")]), Some(0));
    assert_eq!(found(&[("a", "2")]), Some(1));
    assert_eq!(found(&[("a", "1"), ("b", "x")]), Some(2));
    assert_eq!(found(&[("b", "x")]), None);
}

//! What tables, hosts, routes and resources of their own say of filters.
use super::{
    filters::{chain, cors, denies},
    world::{World, filter, forward, route, router, table},
};
use culvert_model::http::{
    cors::Cors,
    filter::{
        Discovered, Filter, FilterConfig, HttpFilter, Override, OverrideConfig, PerFilter,
        SetFilterState,
    },
    listener::{FilterStateValue, SharedWith},
    manager::Routes,
    matcher::StringMatch,
    route::{FilterStateMatch, VirtualHost},
    snapshot::Resource,
    source::{ConfigSource, From},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What a level says of other sites.
fn said_of_sites(cors: Cors) -> PerFilter {
    let config = Some(OverrideConfig::Cors(Arc::new(cors)));
    PerFilter::new(BTreeMap::from([("cors".into(), Override { disabled: None, config })]))
}

#[tokio::test]
async fn what_a_route_does_not_say_of_other_sites_its_host_and_its_table_do() {
    let world = World::start(|config| {
        chain("cors", HttpFilter::Cors)(config);
        let mut special = route("/own", forward());
        special.per_filter = said_of_sites(cors(&[], Some("PUT")));
        let mut table = table(vec![special, route("/", forward())]);
        let mut host = VirtualHost::clone(&table.hosts[0]);
        host.per_filter = said_of_sites(cors(&["https://a.test"], Some("GET")));
        table.hosts = [Arc::new(host)].into();
        let whole = Cors { max_age: Some("9".into()), credentials: true, ..cors(&[], None) };
        table.per_filter = said_of_sites(whole);
        config.routes = Routes::Here(Arc::new(table));
    })
    .await;
    for (path, methods) in [("/own", "PUT"), ("/other", "GET")] {
        let preflight = format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\norigin: https://a.test\r\n\
             access-control-request-method: GET\r\n\r\n"
        );
        let answer = world.raw(&preflight).await;
        let said = |name: &str| answer.header(&format!("access-control-{name}"));
        assert_eq!(said("allow-origin").as_deref(), Some("https://a.test"), "{path}");
        assert_eq!(said("allow-methods").as_deref(), Some(methods), "{path}");
        assert_eq!(said("max-age").as_deref(), Some("9"), "{path}");
        assert_eq!(said("allow-credentials").as_deref(), Some("true"), "{path}");
    }
}

#[tokio::test]
async fn a_filter_that_is_a_resource_changes_while_connections_stay() {
    let mut world = World::start(|config| {
        let discovered = Discovered {
            source: ConfigSource { from: From::Ads, patience: None },
            default: None,
            types: Arc::default(),
            apply_default_without_warming: false,
        };
        let later = Filter {
            name: "later".into(),
            config: FilterConfig::Discovered(Arc::new(discovered)),
            disabled: false,
        };
        config.filters = [later, router()].into();
    })
    .await;
    let mut tcp = TcpStream::connect(world.addr).await.unwrap();
    let mut codes = Vec::new();
    for denied in [None, Some("/secret"), Some("/other")] {
        if let Some(path) = denied {
            let value = Arc::new(HttpFilter::Rbac(denies(path)));
            let resource = Resource { version: path.into(), value };
            world.snapshot.filters_mut().insert("later".into(), resource);
            world.publisher.publish(world.snapshot.clone());
        }
        tcp.write_all(b"GET /secret HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut read = vec![0; 4096];
        let length = tcp.read(&mut read).await.unwrap();
        codes.push(String::from_utf8_lossy(&read[9..12.min(length)]).into_owned());
    }
    assert_eq!(codes, ["500", "403", "200"], "over one connection");
    assert!(world.lines(1).await[0].contains("500 NFCF filter_config_not_found"));
}

#[tokio::test]
async fn a_filter_may_have_the_route_looked_for_once_more() {
    for (clear_route, seen) in [(true, "/after"), (false, "/")] {
        let world = World::start(|config| {
            let state = FilterStateValue {
                key: "who".into(),
                factory: "envoy.string".into(),
                value: "me".parse().unwrap(),
                read_only: false,
                shared: SharedWith::Nobody,
                skip_if_empty: false,
            };
            let state = SetFilterState { values: [state].into(), clear_route };
            config.filters =
                [filter("state", HttpFilter::SetFilterState(Arc::new(state))), router()].into();
            let mut after = route("/", forward());
            after.name = "/after".into();
            let value = StringMatch::exact("me");
            after.when.filter_state = [FilterStateMatch { key: "who".into(), value }].into();
            config.routes = Routes::Here(Arc::new(table(vec![after, route("/", forward())])));
        })
        .await;
        assert_eq!(world.get("/x", "").await.status, 200);
        assert!(world.lines(1).await[0].ends_with(&format!(" {seen} backend")));
    }
}

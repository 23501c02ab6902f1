//! Gateways: what they listen on, and the routes that are attached.
use super::{
    attach::{Does, Route, Routes},
    backend::Unresolved,
    host::{both, closest_first},
    listener::{Listening, Speaks, listen},
    rank,
    status::{CONTROLLER, Condition, Says, Standing},
    unheeded,
    world::{World, at},
};
use crate::{
    compile::http::plan::{
        gateway::{GatewayPlan, Server, Serves, VirtualHost},
        rule::HttpRule,
        stream::{TcpRule, TlsRule},
    },
    gateways::labels::said,
    object::gateway_api::{
        GROUP, gateway::Gateway, gateway_class::GatewayClass, reference::ParentRef,
    },
};
use culvert_model::name::ObjectName;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// Classes that are ours without an object that says so: our own name, and that of Istio's, whose
/// manifests are taken as they are.
const OURS: [&str; 2] = ["culvert", "istio"];

/// A route at a listener, and for which hosts.
struct Attached<'r, 'a> {
    route: &'r Route<'a>,
    hosts: Vec<String>,
}

/// A listener by its number, and for which hosts something is attached there.
type Place = (usize, Vec<String>);

/// What became of classes that are ours.
pub(super) fn classes(world: &World<'_>) -> Vec<Standing> {
    let ours = world.classes.values().filter(|class| &*class.spec.controller_name == CONTROLLER);
    let standing = |class: &&GatewayClass| Standing {
        object: format!("GatewayClass/{}", class.meta.name.name).into(),
        says: Says::Class(vec![Condition::fine("Accepted")]),
    };
    ours.map(standing).collect()
}

pub(super) fn is_ours(world: &World<'_>, gateway: &Gateway) -> bool {
    let class = &*gateway.spec.gateway_class_name.value;
    match world.classes.get(class) {
        Some(class) => &*class.spec.controller_name == CONTROLLER,
        None => OURS.contains(&class),
    }
}

/// What gateways of ours listen on, and what became of them.
pub(super) fn plans<'a>(
    world: &World<'a>,
    routes: &mut Routes<'a>,
) -> (BTreeMap<ObjectName, Arc<GatewayPlan>>, Vec<Standing>) {
    let (mut plans, mut standings) = (BTreeMap::new(), Vec::new());
    for gateway in world.gateways.iter().filter(|gateway| is_ours(world, gateway)) {
        let mut listeners = listen(world, gateway);
        let attached = attach(world, gateway, &listeners, routes);
        let at = at("Gateway", &gateway.meta);
        let mut servers = Vec::new();
        for (index, (listening, here)) in listeners.iter_mut().zip(attached).enumerate() {
            listening.attached = here.len();
            let attached = here.into_iter().filter_map(|(number, hosts)| {
                let route = routes.0.get(number)?;
                Some(Attached { route, hosts: hosts.into_iter().collect() })
            });
            let attached: Vec<_> = attached.collect();
            let place = gateway.spec.listeners.get(index).map(|one| gateway.meta.at(one.at));
            let place = place.map_or(String::new(), |place| place.to_string());
            servers.push(Server {
                at: at.rule(index, place),
                name: Arc::from(&*listening.listener.name),
                address: address(gateway),
                port: listening.listener.port(),
                hosts: listening.listener.hostname.iter().map(|host| Arc::from(&**host)).collect(),
                serves: serves(listening, &attached),
            });
        }
        standings.push(standing(gateway, Arc::clone(&at.object), listeners));
        let labels = said(gateway).collect();
        plans.insert(gateway.meta.name.clone(), Arc::new(GatewayPlan { at, labels, servers }));
    }
    (plans, standings)
}

fn standing(gateway: &Gateway, object: Arc<str>, listeners: Vec<Listening<'_>>) -> Standing {
    let any = listeners.iter().any(|listening| listening.speaks.is_some());
    let all = listeners.iter().all(|listening| listening.speaks.is_some());
    let accepted = if all {
        let unheeded = unheeded::of_gateway(gateway).into_iter().map(|one| one.told);
        let message = unheeded.collect::<Vec<_>>().join("; ");
        Condition { message, ..Condition::fine("Accepted") }
    } else {
        let message = "some listeners are not served: see their conditions".to_owned();
        Condition { kind: "Accepted", is_so: any, reason: "ListenersNotValid", message }
    };
    let programmed = if any {
        Condition::fine("Programmed")
    } else {
        Condition::not("Programmed", "Invalid", "no listener is served")
    };
    let conditions = vec![accepted, programmed];
    let listeners = listeners.into_iter().map(Listening::status).collect();
    Standing { object, says: Says::Gateway { conditions, listeners } }
}

/// By listener, which routes are attached, by their place, and for which hosts; each is told.
fn attach<'a>(
    world: &World<'a>,
    gateway: &Gateway,
    listeners: &[Listening<'a>],
    routes: &mut Routes<'a>,
) -> Vec<BTreeMap<usize, BTreeSet<String>>> {
    let mut attached = vec![BTreeMap::new(); listeners.len()];
    for (number, route) in routes.0.iter_mut().enumerate() {
        for (parent, named) in route.parents.iter().enumerate() {
            if !names(&named.value, gateway, route) {
                continue;
            }
            let (found, condition) = match hosts(world, gateway, listeners, route, &named.value) {
                Ok(found) => (found, Condition::fine("Accepted")),
                Err((reason, message)) => (Vec::new(), Condition::not("Accepted", reason, message)),
            };
            route.accepted(parent, condition);
            for (listener, hosts) in found {
                let here: Option<&mut BTreeMap<usize, BTreeSet<String>>> =
                    attached.get_mut(listener);
                here.into_iter().for_each(|here| {
                    here.entry(number).or_default().extend(hosts.iter().cloned());
                });
            }
        }
    }
    attached
}

fn names(parent: &ParentRef, gateway: &Gateway, route: &Route<'_>) -> bool {
    let namespace = parent.namespace.as_deref().unwrap_or(&route.meta.name.namespace);
    parent.what() == (GROUP, "Gateway")
        && *gateway.meta.name.name == *parent.name
        && *gateway.meta.name.namespace == *namespace
}

/// At which listeners a route is attached, and for which hosts; or why at none.
fn hosts<'a>(
    world: &World<'a>,
    gateway: &Gateway,
    listeners: &[Listening<'a>],
    route: &Route<'a>,
    parent: &ParentRef,
) -> Result<Vec<Place>, Unresolved> {
    let named: Vec<_> = listeners
        .iter()
        .enumerate()
        .filter(|(_, one)| {
            let section = parent.section_name.as_deref();
            section.is_none_or(|section| section == &*one.listener.name)
                && parent.port().is_none_or(|port| port == one.listener.port())
        })
        .collect();
    if named.is_empty() {
        let message = format!("Gateway {} has no such listener", gateway.meta.name);
        return Err(("NoMatchingParent", message));
    }
    let namespace = &*route.meta.name.namespace;
    let open: Vec<_> = named
        .into_iter()
        .filter(|(_, one)| {
            one.kinds.contains(&route.kind) && one.admits(world, &gateway.meta, namespace)
        })
        .collect();
    if open.is_empty() {
        let message = format!("no listener takes {}s of namespace {namespace}", route.kind);
        return Err(("NotAllowedByListeners", message));
    }
    let found: Vec<_> = open
        .into_iter()
        .filter_map(|(index, one)| {
            let own = one.listener.hostname.as_deref();
            let hosts: Vec<String> = if route.hostnames.is_empty() {
                vec![own.unwrap_or("*").to_owned()]
            } else {
                route.hostnames.iter().filter_map(|host| both(own, host)).collect()
            };
            (!hosts.is_empty()).then_some((index, hosts))
        })
        .collect();
    if found.is_empty() {
        let message = "no listener has a hostname that the route has, too".to_owned();
        return Err(("NoMatchingListenerHostname", message));
    }
    Ok(found)
}

/// The one address that is asked for.
fn address(gateway: &Gateway) -> Option<IpAddr> {
    let mut asked = gateway.spec.addresses.iter().map(|one| &one.value);
    let ip = asked.find(|one| one.kind() == "IPAddress")?.value().parse().ok();
    ip.filter(|_| gateway.spec.addresses.len() == 1)
}

fn serves(listening: &Listening<'_>, attached: &[Attached<'_, '_>]) -> Serves {
    match (listening.speaks, &listening.tls) {
        (Some(Speaks::Http), _) => Serves::Http { hosts: virtual_hosts(attached), to_https: false },
        (Some(Speaks::Https), Some(tls)) => {
            Serves::Https { hosts: virtual_hosts(attached), tls: tls.clone() }
        }
        (Some(Speaks::TlsEnded), Some(tls)) => {
            Serves::TlsTerminated { rules: tcp_rules(attached), tls: tls.clone() }
        }
        (Some(Speaks::TlsPassed), _) => Serves::TlsPassed(tls_rules(attached)),
        (Some(Speaks::Tcp), _) => Serves::Tcp(tcp_rules(attached)),
        (Some(Speaks::Https | Speaks::TlsEnded), None) | (None, _) => Serves::Nothing,
    }
}

/// Each name with its rules; those of names that cover it come after its own.
fn virtual_hosts(attached: &[Attached<'_, '_>]) -> Vec<VirtualHost> {
    let names: BTreeSet<&str> =
        attached.iter().flat_map(|one| one.hosts.iter().map(String::as_str)).collect();
    let rules_of = |name: &str| -> Vec<HttpRule> {
        let of = attached.iter().filter(|one| one.hosts.iter().any(|host| host == name));
        let ranked = of.flat_map(|one| match &one.route.does {
            Does::Http(ranked) => ranked.as_slice(),
            Does::Stream(_) => &[],
        });
        rank::in_order(ranked.cloned().collect())
    };
    let host = |name: &&str| VirtualHost {
        domains: vec![Arc::from(*name)],
        rules: closest_first(names.iter().copied(), name).into_iter().flat_map(rules_of).collect(),
    };
    names.iter().map(host).collect()
}

fn tls_rules(attached: &[Attached<'_, '_>]) -> Vec<TlsRule> {
    let of = attached.iter().flat_map(|one| match &one.route.does {
        Does::Stream(rules) => rules.iter().map(move |rule| (one, rule)).collect::<Vec<_>>(),
        Does::Http(_) => Vec::new(),
    });
    of.map(|(one, (at, to))| TlsRule {
        at: at.clone(),
        hosts: one.hosts.iter().map(|host| Arc::from(host.as_str())).collect(),
        matches: Vec::new(),
        to: to.clone(),
    })
    .collect()
}

fn tcp_rules(attached: &[Attached<'_, '_>]) -> Vec<TcpRule> {
    let of = attached.iter().flat_map(|one| match &one.route.does {
        Does::Stream(rules) => rules.as_slice(),
        Does::Http(_) => &[],
    });
    of.map(|(at, to)| TcpRule { at: at.clone(), matches: Vec::new(), to: to.clone() }).collect()
}

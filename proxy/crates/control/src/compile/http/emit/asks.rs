//! Who must pass L7: what L4 is told, so that it never guesses.
//!
//! Of a service, ports on which is spoken what rules are about. One that does not say what is spoken
//! there may be for a server that speaks first: it is asked only where a rule names it, or where
//! nothing else can be meant.
use super::{
    clients, inbound, is_http,
    reader::Reader,
    scene::{Scene, ServiceFacts},
    tls,
};
use crate::compile::http::plan::{
    Clients, Routing, Rules, ServicePlan,
    matching::HttpMatch,
    policy::{Applies, Policy, PolicyAction},
    stream::StreamMatch,
    traffic::{Traffic, TrafficPolicy},
};
use culvert_model::{
    l7::L7Ports,
    name::{ObjectName, ServiceName, WorkloadUid},
    service::{AppProtocol, Port},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

/// The ports of a service whose connections must pass the engines of its clients, and of which
/// clients.
#[must_use]
pub fn of_service(name: &ServiceName, scene: &Scene) -> L7Ports {
    let Some(facts) = scene.service(name).filter(|facts| facts.has_doors()) else {
        return L7Ports::default();
    };
    let plan = scene.plan().services.get(name);
    let mut ports = Vec::new();
    let mut who = Who::default();
    for port in &facts.service.ports {
        let is_only = facts.service.ports.len() == 1;
        let labelled = facts.labelled && is_http(port.protocol);
        if labelled {
            who.add(&Clients::default());
        }
        let is_asked = plan.is_some_and(|plan| asked(plan, port, is_only, &mut who));
        if labelled || is_asked {
            ports.push(port.port);
        }
    }
    let ports: L7Ports = ports.into_iter().collect();
    ports.only_for(who.namespaces())
}

/// Whether something is asked of a service whose connections cannot be told: it holds at gateways alone.
#[must_use]
pub fn is_unreached(name: &ServiceName, scene: &Scene) -> bool {
    let is_asked = |plan: &ServicePlan| {
        let mut policies = plan.traffic.iter().map(|one| &one.policy);
        !plan.routes.is_empty() || policies.any(TrafficPolicy::asks)
    };
    let plan = scene.plan().services.get(name);
    scene.service(name).is_some_and(|facts| !facts.has_doors()) && plan.is_some_and(|p| is_asked(p))
}

/// Ports that rules of HTTP would be for, if it were known what is spoken there.
#[must_use]
pub fn unclear(name: &ServiceName, scene: &Scene) -> Vec<NonZeroU16> {
    let Some(facts) = scene.service(name) else { return Vec::new() };
    let Some(plan) = scene.plan().services.get(name) else { return Vec::new() };
    let (ports, is_only) = (&facts.service.ports, facts.service.ports.len() == 1);
    let would = |port: &&Port| {
        let named = Port { protocol: AppProtocol::Http1, ..**port };
        let mut who = Who::default();
        port.protocol == AppProtocol::Unknown
            && asked(plan, &named, is_only, &mut who)
            && !asked(plan, port, is_only, &mut who)
    };
    ports.iter().filter(would).map(|port| port.port).collect()
}

/// Ports to which TLS is spoken for clients who may speak it themselves, by the object that says so.
#[must_use]
pub fn twofold(name: &ServiceName, scene: &Scene) -> BTreeMap<Arc<str>, BTreeSet<NonZeroU16>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let Some(facts) = scene.service(name) else { return found };
    let Some(plan) = scene.plan().services.get(name) else { return found };
    let (ports, is_only) = (&facts.service.ports, facts.service.ports.len() == 1);
    for traffic in &plan.traffic {
        let subsets = || [None].into_iter().chain(traffic.subsets.keys().map(|one| Some(&**one)));
        let is_twofold = |port: &&Port| {
            let mut policies = subsets().filter_map(|subset| traffic.of(subset, port.port));
            policies.any(|policy| tls::is_twofold(policy, port.protocol))
                && asked(plan, port, is_only, &mut Who::default())
        };
        for port in ports.iter().filter(is_twofold) {
            found.entry(Arc::clone(&traffic.at.object)).or_default().insert(port.port);
        }
    }
    found
}

/// The ports of a workload whose connections must pass the engine of its node, and the policies
/// that are decided there.
#[must_use]
pub fn of_workload(uid: &WorkloadUid, scene: &Scene) -> L7Ports {
    let Some(facts) = scene.workload(uid) else { return L7Ports::default() };
    let reader = Reader::new(scene);
    let ports: L7Ports = inbound::asked(facts, &reader).into_iter().collect();
    ports.deciding(decided(&inbound::of_pod(facts, &reader)))
}

/// What L4 would close of: policies that it does not see all of. Where one of them allows, all that
/// allow are asked together: by itself each refuses what only another lets pass.
fn decided(policies: &[&Policy]) -> BTreeSet<ObjectName> {
    let of_pods = |policy: &&&Policy| matches!(policy.applies, Applies::Pods(_));
    let all = || policies.iter().filter(of_pods);
    let allows = |policy: &Policy| policy.action == PolicyAction::Allow;
    let together = all().any(|policy| allows(policy) && policy.needs_l7());
    let is_decided = |policy: &&&Policy| policy.needs_l7() || together && allows(policy);
    all().filter(is_decided).map(|policy| policy.name.clone()).collect()
}

/// Whether connections of clients in `namespace` to a service must pass their engine.
pub(super) fn must(facts: &ServiceFacts, plan: Option<&ServicePlan>, namespace: &str) -> bool {
    let is_asked = plan.is_some_and(|plan| clients::asks(plan, namespace));
    facts.service.is_visible_from(namespace) && (facts.labelled || is_asked)
}

/// For whom something is.
#[derive(Default)]
struct Who {
    everybody: bool,
    some: BTreeSet<Arc<str>>,
}

impl Who {
    fn add(&mut self, clients: &Clients) {
        match &clients.namespaces {
            None => self.everybody = true,
            Some(some) => self.some.extend(some.iter().cloned()),
        }
    }

    /// None: everybody's.
    fn namespaces(self) -> BTreeSet<Arc<str>> {
        if self.everybody { BTreeSet::new() } else { self.some }
    }
}

/// Whether anything is asked of connections to a port, and of whose.
fn asked(plan: &ServicePlan, port: &Port, is_only: bool, who: &mut Who) -> bool {
    let mut found = false;
    for Routing { clients, port: of, rules } in &plan.routes {
        let is_meant = is_only || *of == Some(port.port) || names(rules, port.port);
        let is_of = of.is_none_or(|of| of == port.port);
        let is_spoken = match (rules, port.protocol) {
            (_, AppProtocol::Unknown) => is_meant,
            (Rules::Http(_), protocol) => is_http(protocol),
            (Rules::Tls(_), protocol) => protocol == AppProtocol::Tls,
            (Rules::Tcp(_), protocol) => !is_http(protocol),
        };
        if is_of && is_spoken {
            found = true;
            who.add(clients);
        }
    }
    for Traffic { clients, policy, ports, .. } in &plan.traffic {
        let own = ports.get(&port.port);
        let is_meant = is_only || own.is_some() || port.protocol != AppProtocol::Unknown;
        if is_meant && own.unwrap_or(policy).asks() {
            found = true;
            who.add(clients);
        }
    }
    found
}

/// Whether some rule says that it is for a port.
fn names(rules: &Rules, port: NonZeroU16) -> bool {
    let http = |one: &HttpMatch| one.port == Some(port);
    let stream = |one: &StreamMatch| one.port == Some(port);
    match rules {
        Rules::Http(rules) => rules.iter().flat_map(|rule| &rule.matches).any(http),
        Rules::Tls(rules) => rules.iter().flat_map(|rule| &rule.matches).any(stream),
        Rules::Tcp(rules) => rules.iter().flat_map(|rule| &rule.matches).any(stream),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_unreached, of_service, of_workload, unclear};
    use crate::compile::http::{
        emit::tests::{SHOP, host, port, scene, shown},
        plan::{Clients, Plan},
    };
    use culvert_model::name::{ObjectName, ServiceName, WorkloadUid};

    fn asked(pod: &str, text: &str, plan: Plan) -> Vec<u16> {
        let uid = WorkloadUid::pod("Kubernetes", &ObjectName::new("shop", pod));
        of_workload(&uid, &scene(text, plan)).iter().map(u16::from).collect()
    }

    #[test]
    fn policies_that_l4_cannot_answer_ask_for_their_pods_only() {
        assert_eq!(asked("reviews-v1", SHOP, shown::policies()), [8080]);
        assert!(asked("ratings", SHOP, shown::policies()).is_empty());
        assert!(asked("reviews-v1", SHOP, shown::shop_plan()).is_empty());
    }

    #[test]
    fn a_label_asks_where_http_is() {
        let label = "culvert.dev/mesh: enabled, culvert.dev/l7: enabled";
        let text = SHOP
            .replace("culvert.dev/mesh: enabled", label)
            .replace("name: web,", "name: http-web,");
        assert_eq!(asked("ratings", &text, Plan::default()), [80]);
        let ratings = host("shop", "ratings");
        let l7 = of_service(&ratings, &scene(&text, Plan::default()));
        assert!(l7.contains(80) && !l7.contains(3306) && l7.is_for("bank"));
        assert!(of_service(&ratings, &scene(SHOP, Plan::default())).is_empty());
    }

    #[test]
    fn rules_ask_for_those_whom_they_are_for() {
        let reviews = host("shop", "reviews");
        let l7 = of_service(&reviews, &scene(SHOP, shown::by_header(Clients::of("bank"))));
        assert!(l7.contains(9080) && l7.is_for("bank") && !l7.is_for("shop"));
    }

    #[test]
    fn what_has_a_range_of_addresses_is_asked_of_nobody() {
        let entry = "
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: range, namespace: shop}
spec:
  hosts: [reviews.example.com]
  addresses: [ADDRESS]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{name: http, number: 9080, protocol: HTTP}]
  endpoints: [{address: 192.0.2.7}]
";
        let name = ServiceName::new("shop", "reviews.example.com");
        let asked = |address: &str| {
            let text = format!("{SHOP}{}", entry.replace("ADDRESS", address));
            let routes = shown::by_header(Clients::default()).services;
            let of = routes.into_values().map(|plan| (name.clone(), plan)).collect();
            let scene = scene(&text, Plan { services: of, ..Plan::default() });
            (of_service(&name, &scene).contains(9080), is_unreached(&name, &scene))
        };
        assert_eq!(asked("240.1.0.7"), (true, false));
        assert_eq!(asked("240.1.0.0/24"), (false, true));
    }

    /// A server that speaks first would wait for ever.
    #[test]
    fn a_port_that_says_nothing_is_asked_only_if_it_must_be_meant() {
        let named = "ports: [{name: http, port: 9080, targetPort: 8080}]";
        let plan = || shown::by_header(Clients::default());
        let reviews = host("shop", "reviews");
        let one = scene(&SHOP.replace(named, "ports: [{port: 9080, targetPort: 8080}]"), plan());
        assert!(of_service(&reviews, &one).contains(9080));
        let two = "ports: [{name: a, port: 9080, targetPort: 8080}, {name: b, port: 9081}]";
        let two = scene(&SHOP.replace(named, two), plan());
        assert!(of_service(&reviews, &two).is_empty());
        assert_eq!(unclear(&reviews, &two), [port(9080), port(9081)]);
    }
}

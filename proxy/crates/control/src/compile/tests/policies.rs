//! Policies, and whom they choose.
use super::shown::{shown, shown_without_l7};

const PODS: &str = "
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, labels: {app: a}}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: shop, labels: {app: b}}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: bank, labels: {app: a}}, status: {podIP: 10.0.0.3}}
---
";

fn peer(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: security.istio.io/v1, kind: PeerAuthentication, \
         metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{spec}}}}}\n---\n"
    )
}

fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, \
         metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{spec}}}}}\n---\n"
    )
}

/// Which policies refuse plain text to each of the pods.
#[track_caller]
fn demands(policies: &[String], expect: [&str; 3]) {
    let text = format!("{PODS}{}", policies.concat());
    let mesh = crate::compile::mesh(&super::objects(&text), &super::settings()).unwrap();
    let demands = ["shop/a", "shop/b", "bank/a"].map(|pod| {
        let uid = format!("Kubernetes//Pod/{pod}");
        let wanted = mesh.members.get(uid.as_str()).unwrap();
        let names: Vec<_> = wanted.mtls.iter().map(|name| name.name.to_string()).collect();
        // Whatever is named is there.
        assert!(wanted.mtls.iter().all(|name| mesh.policies.contains_key(name)), "{policies:?}");
        let names = names.join(" ").replace("istio_converted_static_strict", "strict");
        names.replace("converted_peer_authentication_", "own:")
    });
    assert_eq!(demands.each_ref().map(String::as_str), expect, "{policies:?}");
}

#[test]
fn the_narrowest_mode_counts() {
    let root = "culvert-system";
    let mode = |mode: &str| format!("mtls: {{mode: {mode}}}");
    let (strict, permissive) = (mode("STRICT"), mode("PERMISSIVE"));
    let (disable, unset) = (mode("DISABLE"), mode("UNSET"));
    let on_a = |spec: &str| format!("selector: {{matchLabels: {{app: a}}}}, {spec}");
    let port = |mode: &str| format!("portLevelMtls: {{9090: {{mode: {mode}}}}}");
    let none = ["", "", ""];
    demands(&[], none);
    demands(&[peer(root, "d", &strict)], ["strict"; 3]);
    demands(&[peer(root, "d", &permissive)], none);
    demands(&[peer(root, "d", &unset)], none);
    demands(&[peer("shop", "d", &strict)], ["strict", "strict", ""]);
    demands(&[peer(root, "d", &strict), peer("shop", "d", &permissive)], ["", "", "strict"]);
    demands(&[peer(root, "d", &strict), peer("shop", "d", &disable)], ["", "", "strict"]);
    demands(&[peer(root, "d", &strict), peer("shop", "d", &unset)], ["strict"; 3]);
    demands(&[peer(root, "d", &strict), peer("shop", "d", "")], ["strict"; 3]);
    demands(&[peer("shop", "w", &on_a(&strict))], ["strict", "", ""]);
    demands(
        &[peer("shop", "d", &strict), peer("shop", "w", &on_a(&permissive))],
        ["", "strict", ""],
    );
    demands(&[peer("shop", "d", &strict), peer("shop", "w", &on_a(&disable))], ["", "strict", ""]);
    demands(
        &[peer("shop", "d", &strict), peer("shop", "w", &on_a(&unset))],
        ["strict", "strict", ""],
    );
    // By port.
    let by_port = |own: &str, mode: &str| on_a(&format!("{own}, {}", port(mode)));
    demands(&[peer("shop", "w", &by_port(&permissive, "STRICT"))], ["own:w", "", ""]);
    demands(&[peer("shop", "w", &by_port(&unset, "STRICT"))], ["own:w", "", ""]);
    demands(&[peer("shop", "w", &by_port(&unset, "PERMISSIVE"))], none);
    demands(&[peer("shop", "w", &by_port(&strict, "STRICT"))], ["strict", "", ""]);
    demands(&[peer("shop", "w", &by_port(&strict, "UNSET"))], ["strict", "", ""]);
    demands(&[peer("shop", "w", &by_port(&strict, "DISABLE"))], ["own:w", "", ""]);
    let wide = peer("shop", "d", &strict);
    demands(
        &[wide.clone(), peer("shop", "w", &by_port(&unset, "DISABLE"))],
        ["own:w", "strict", ""],
    );
    demands(
        &[wide.clone(), peer("shop", "w", &by_port(&unset, "STRICT"))],
        ["strict", "strict", ""],
    );
    demands(&[wide, peer("shop", "w", &by_port(&permissive, "STRICT"))], ["own:w", "strict", ""]);
    let mesh = peer(root, "d", &strict);
    demands(
        &[mesh, peer("shop", "w", &by_port(&unset, "PERMISSIVE"))],
        ["own:w", "strict", "strict"],
    );
    // In the root namespace a selector chooses nothing; elsewhere labels of another namespace do not.
    demands(&[peer(root, "w", &on_a(&strict))], none);
    // The oldest, and of the same age the first by name.
    demands(&[peer("shop", "u", &on_a(&strict)), peer("shop", "t", &on_a(&permissive))], none);
    let old = peer("shop", "u", &on_a(&strict))
        .replace("name: u,", "name: u, creationTimestamp: '2020-01-01T00:00:00Z',");
    let young = peer("shop", "t", &on_a(&permissive))
        .replace("name: t,", "name: t, creationTimestamp: '2021-01-01T00:00:00Z',");
    demands(&[young, old], ["strict", "", ""]);
}

#[test]
fn exceptions_by_port_are_policies_of_their_own() {
    let ports =
        "portLevelMtls: {9090: {mode: PERMISSIVE}, 80: {mode: DISABLE}, 443: {mode: STRICT}}";
    let text = [
        peer(
            "shop",
            "own",
            &format!("selector: {{matchLabels: {{app: a}}}}, mtls: {{mode: STRICT}}, {ports}"),
        ),
        peer("bank", "all", "mtls: {mode: STRICT}"),
        peer("bank", "inherits", &format!("selector: {{matchLabels: {{app: a}}}}, {ports}")),
        peer("park", "open", &format!("selector: {{matchLabels: {{app: a}}}}, {ports}")),
    ]
    .concat();
    insta::assert_snapshot!(shown(&text), @r"
    bank/converted_peer_authentication_inherits DENY where named
        (port not 80) and (port not 9090) and (principal not *)
    park/converted_peer_authentication_open DENY where named
        (principal not *, port 443)
    shop/converted_peer_authentication_own DENY where named
        (principal not *) and (port not 80) and (port not 9090)
    ");
}

#[test]
fn policies_choose_by_namespace_selector_and_root() {
    let allow = "rules: [{}]";
    let on = |app: &str| format!("selector: {{matchLabels: {{app: {app}}}}}, {allow}");
    let text = [
        PODS.to_owned(),
        policy("culvert-system", "mesh", allow),
        policy("culvert-system", "mesh-a", &on("a")),
        policy("shop", "all", allow),
        policy("shop", "b", &on("b")),
        policy("shop", "everyone", &format!("selector: {{}}, {allow}")),
        policy("shop", "nobody", ""),
        policy("shop", "target", &format!("targetRefs: [{{kind: Service, name: web}}, {{group: gateway.networking.k8s.io, kind: Gateway, name: g}}], {allow}")),
        policy("shop", "audit", &format!("action: AUDIT, {allow}")),
        policy("shop", "idle", "action: DENY"),
    ]
    .concat();
    insta::assert_snapshot!(shown_without_l7(&text), @r#"
      Kubernetes//Pod/bank/a at [10.0.0.3] | policies culvert-system/mesh-a
      Kubernetes//Pod/shop/a at [10.0.0.1] | policies culvert-system/mesh-a shop/everyone
      Kubernetes//Pod/shop/b at [10.0.0.2] | policies shop/b shop/everyone
    culvert-system/mesh ALLOW everywhere
        everything
    culvert-system/mesh-a ALLOW where named
        everything
    shop/all ALLOW in its namespace
        everything
    shop/b ALLOW where named
        everything
    shop/everyone ALLOW where named
        everything
    shop/idle DENY in its namespace
    shop/nobody ALLOW in its namespace
    shop.yaml:20:80: the policy is for Service/web, Gateway.gateway.networking.k8s.io/g: nobody serves L7 here, which sees to it; it does nothing; choose workloads by a selector to have it at L4
    shop.yaml:22:80: AUDIT does nothing at L4; annotate a policy istio.io/dry-run: "true"
    shop.yaml:24:80: without rules it denies nothing
    "#);
}

#[test]
fn what_l4_cannot_see_closes_and_is_told() {
    let text = [
        policy("shop", "allow", "rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}, {from: [{source: {namespaces: [bank]}}]}]"),
        policy("shop", "deny", "action: DENY, rules: [{to: [{operation: {paths: [/admin]}}], from: [{source: {principals: ['*/sa/web'], notRequestPrincipals: ['*']}}], when: [{key: 'request.headers[x]', values: [v]}, {key: source.serviceAccount, notValues: [web, bank/web]}]}]"),
        policy("shop", "ask", "action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {ports: ['80']}}]}]"),
        policy("shop", "dry", "action: DENY, rules: [{to: [{operation: {hosts: [a]}}]}]")
            .replace("name: dry,", "name: dry, annotations: {istio.io/dry-run: 'true'},"),
    ]
    .concat();
    insta::assert_snapshot!(shown_without_l7(&text), @r"
    shop/allow ALLOW in its namespace
        (namespace bank)
    shop/ask DENY in its namespace
        (port 80)
    shop/deny DENY in its namespace
        (what L4 cannot see) and (principal */sa/web) and (what L4 cannot see) and (account not [bank/web, shop/web])
    shop/dry DENY in its namespace, dry run
        (what L4 cannot see)
    shop/allow closes: rule 0 asks for methods, which L4 does not see: it allows nothing
    shop/ask closes: there is nobody to ask at L4: what its rules match is denied
    shop/deny closes: rule 0 asks for notRequestPrincipals, paths, request.headers[x], which L4 does not see: it denies whatever they are
    shop.yaml:1:120: rule 0 asks for methods, which L4 does not see: it allows nothing
    shop.yaml:3:133: rule 0 asks for notRequestPrincipals, paths, request.headers[x], which L4 does not see: it denies whatever they are
    shop.yaml:5:80: there is nobody to ask at L4: what its rules match is denied
    shop.yaml:7:173: rule 0 asks for hosts, which L4 does not see: it denies whatever they are
    ");
    // Where somebody decides the rest, it is nothing to speak of.
    let told = shown(&text);
    let told: Vec<_> = told.lines().filter(|line| line.contains(": ")).collect();
    assert_eq!(
        told,
        [
            "shop/ask closes: there is nobody to ask yet: what its rules match is denied",
            "shop/deny closes: rule 0 asks for notRequestPrincipals, which nobody answers yet: it denies whatever they are",
            "shop.yaml:3:133: rule 0 asks for notRequestPrincipals, which nobody answers yet: it denies whatever they are",
            "shop.yaml:5:80: there is nobody to ask yet: what its rules match is denied",
        ]
    );
}

#[test]
fn every_field_that_l4_sees_is_compared() {
    let rule = "{from: [{source: {principals: [a, 'b*', '*c', '*'], notNamespaces: [x], ipBlocks: [1.2.3.4, 5.6.0.0/16], notIpBlocks: ['fd00::/8']}}, \
                {source: {serviceAccounts: [own, other/name], notServiceAccounts: [not]}}], \
                to: [{operation: {ports: ['80', '443'], notPorts: ['22']}}], \
                when: [{key: source.ip, values: [10.0.0.0/8]}, {key: source.namespace, notValues: ['a*']}, \
                {key: source.principal, values: ['td/*']}, {key: destination.ip, values: [10.1.1.1]}, {key: destination.port, values: ['81'], notValues: ['82']}]}";
    insta::assert_snapshot!(shown(&policy("shop", "all", &format!("rules: [{rule}]"))), @r"
    shop/all ALLOW in its namespace
        (port [80, 443] and not 22) and (namespace not x, principal [a, b*, *c, *], from [1.2.3.4/32, 5.6.0.0/16] and not fd00::/8 or account [other/name, shop/own] and not shop/not) and (from 10.0.0.0/8) and (namespace not a*) and (principal td/*) and (to 10.1.1.1/32) and (port 81 and not 82)
    ");
}

/// A slip must not open what was meant to be narrow.
#[test]
fn rules_that_would_hold_for_everything_by_mistake_are_refused() {
    for rule in [
        "{from: []}",
        "{to: []}",
        "{when: []}",
        "{from: [{source: {}}]}",
        "{to: [{operation: {}}]}",
        "{from: [{source: {principals: []}}]}",
        "{from: [{source: {principals: ['']}}]}",
        "{from: [{source: {ipBlocks: [10.0.0]}}]}",
        "{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}",
        "{from: [{source: {remoteIpBlocks: [nonsense]}}]}",
        "{to: [{operation: {ports: ['http']}}]}",
        "{to: [{operation: {ports: [80]}}]}",
        "{to: [{operation: {ports: ['65536']}}]}",
        "{when: [{key: source.ip, values: [here]}]}",
        "{when: [{key: source.ip}]}",
        "{when: [{key: source.ipp, values: [1.2.3.4]}]}",
        "{when: [{key: destination.port, notValues: ['-1']}]}",
        "{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}",
        "{form: [{source: {namespaces: [b]}}]}",
        "{from: [{sources: {namespaces: [b]}}]}",
    ] {
        let text = policy("shop", "all", &format!("rules: [{rule}]"));
        let (_, problems) = crate::object::Objects::parse("shop.yaml", text.as_bytes());
        assert!(!problems.is_empty(), "{rule}");
    }
}

#[test]
fn a_rule_keeps_its_line_when_one_before_it_allows_nothing() {
    let text = "\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec:
  rules:
    - to: [{operation: {methods: [GET]}}]
    - from: [{source: {namespaces: [shop]}}]
";
    let mesh = crate::compile::mesh(&super::objects(text), &super::settings()).unwrap();
    let policy = mesh.policies.values().find(|policy| &*policy.name.name == "p").unwrap();
    let origin = policy.origin.as_ref().unwrap();
    assert_eq!(policy.rules.len(), 1);
    assert!(origin.of_rule(0).ends_with(":7"), "{origin:?}");
}

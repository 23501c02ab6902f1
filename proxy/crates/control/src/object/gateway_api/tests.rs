//! What the kinds of the Gateway API demand of several fields together, and what is told of it.
use crate::object::Objects;

fn told(text: &str) -> String {
    let (_, problems) = Objects::parse("a.yaml", text.as_bytes());
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn messages(text: &str) -> Vec<String> {
    Objects::parse("a.yaml", text.as_bytes()).1.into_iter().map(|one| one.message).collect()
}

fn object(kind: &str, spec: &str) -> String {
    let version = "gateway.networking.k8s.io/v1";
    format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}, spec: {{{spec}}}}}")
}

/// Each is refused for its one reason, and taken without it.
#[track_caller]
fn each(kind: &str, cases: &[(&str, &str)]) {
    for (spec, expect) in cases {
        let messages = messages(&object(kind, spec));
        if expect.is_empty() {
            assert_eq!(messages, Vec::<String>::new(), "{spec}");
        } else {
            assert_eq!(messages.len(), 1, "{spec}: {messages:?}");
            assert!(messages[0].contains(expect), "{spec}: {messages:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_route_is_told_at_once() {
    let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs:
  - {name: gate, namespace: My_Ns}
  hostnames: [a.*.example, '*.example']
  rules:
  - matches:
    - path: {type: Prefix, value: /}
      methods: GET
    filters:
    - type: RequestRedirect
      requestMirror: {backendRef: {name: web}}
    timeouts: {request: 10}
    backendRefs:
    - {name: web, port: 70000, weight: 2000000}
";
    insta::assert_snapshot!(told(text), @r#"
    a.yaml:6:29: `My_Ns` is not a namespace: want lower-case letters, digits and inner hyphens
     6 |   - {name: gate, namespace: My_Ns}
       |                             ^
    a.yaml:7:15: `a.*.example` is not a host name: want lower-case labels, the first of which may be *
     7 |   hostnames: [a.*.example, '*.example']
       |               ^
    a.yaml:10:20: `Prefix` is not one of Exact, PathPrefix, RegularExpression
     10 |     - path: {type: Prefix, value: /}
        |                    ^
    a.yaml:11:7: unknown field `methods`
     11 |       methods: GET
        |       ^
        = did you mean `method`?
    a.yaml:13:7: type is RequestRedirect, and `requestMirror` is set
     13 |     - type: RequestRedirect
        |       ^
    a.yaml:15:25: want text, not the number 10
     15 |     timeouts: {request: 10}
        |                         ^
        = quote it: "10"
    a.yaml:17:25: want a number from 0 to 65535, not the number 70000
     17 |     - {name: web, port: 70000, weight: 2000000}
        |                         ^
    a.yaml:17:40: a weight is at most 1000000, not 2000000
     17 |     - {name: web, port: 70000, weight: 2000000}
        |                                        ^
    "#);
}

#[expect(clippy::too_many_lines, reason = "a row for each rule")]
#[test]
fn http_routes_keep_the_rules_of_their_kind() {
    let rule = |rule: &str| format!("rules: [{{{rule}}}]");
    let matches = |count: usize| vec!["{}"; count].join(", ");
    let many = format!("rules: [{{matches: [{0}]}}, {{matches: [{0}]}}, {{}}]", matches(64));
    let prefix = "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}";
    let cases = [
        ("rules: [{}]".to_owned(), ""),
        (String::new(), ""),
        ("parentRefs: [{name: a}, {name: b}, {name: a, namespace: b}]".into(), ""),
        ("parentRefs: [{name: a}, {name: a}]".into(), "a second time needs sectionName"),
        (
            "parentRefs: [{name: a}, {name: a, sectionName: b}]".into(),
            "each time needs sectionName",
        ),
        (
            "parentRefs: [{name: a, sectionName: b}, {name: a, sectionName: b}]".into(),
            "named already",
        ),
        ("parentRefs: [{name: a, sectionName: b}, {name: a, sectionName: c}]".into(), ""),
        (many, "more than 128 matches"),
        (rule("backendRefs: [{name: a}]"), "without its port"),
        (rule("backendRefs: [{name: a, kind: Pool, group: b}]"), ""),
        (
            rule(
                "backendRefs: [{name: a, port: 1}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]",
            ),
            "there can be no backendRefs",
        ),
        (
            rule(
                "filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]",
            ),
            "only one of RequestRedirect and URLRewrite",
        ),
        (rule("filters: [{type: CORS, cors: {}}, {type: CORS, cors: {}}]"), "a CORS already"),
        (rule("filters: [{type: CORS}]"), "`cors` is missing"),
        (rule("filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a']}}]"), "stands alone"),
        (rule("filters: [{type: CORS, cors: {allowMethods: [GET, GET]}}]"), "there already"),
        (rule(&format!("filters: [{prefix}]")), ""),
        (rule(&format!("filters: [{prefix}], matches: [{{}}]")), ""),
        (
            rule(&format!("filters: [{prefix}], matches: [{{}}, {{method: GET}}]")),
            "exactly one match",
        ),
        (
            rule(&format!("filters: [{prefix}], matches: [{{path: {{type: Exact}}}}]")),
            "exactly one match",
        ),
        (
            rule(&format!(
                "backendRefs: [{{name: a, port: 1, filters: [{prefix}]}}], matches: [{{path: {{type: Exact}}}}]"
            )),
            "exactly one match",
        ),
        (rule("matches: [{path: {value: a}}]"), "does not begin with /"),
        (rule("matches: [{path: {value: a, type: RegularExpression}}]"), ""),
        (rule("matches: [{path: {value: /a//b}}]"), "never has `//`"),
        (
            rule("matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]"),
            "`a` is there already",
        ),
        (
            rule("matches: [{queryParams: [{name: a, value: b}, {name: a, value: c}]}]"),
            "`a` is there already",
        ),
        (rule("timeouts: {request: 1s, backendRequest: 2s}"), "longer than request"),
        (rule("timeouts: {request: 0s, backendRequest: 2s}"), ""),
        (rule("timeouts: {request: 1.5s}"), "no length of time"),
        (
            rule(
                "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, percent: 1, fraction: {numerator: 1}}}]",
            ),
            "only one of percent and fraction",
        ),
        (
            rule(
                "filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 2, denominator: 1}}}]",
            ),
            "more than all",
        ),
        (
            rule(
                "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}, {name: a, value: c}]}}]",
            ),
            "`a` is there already",
        ),
        (rule("retry: {codes: [500], attempts: 3, backoff: 1s}"), ""),
        (rule("retry: {codes: [200]}"), "no status of a failure"),
        (rule("sessionPersistence: {type: Header, cookieConfig: {}}"), "for type Cookie only"),
    ];
    let cases: Vec<_> = cases.iter().map(|(spec, expect)| (spec.as_str(), *expect)).collect();
    each("HTTPRoute", &cases);
}

#[test]
fn grpc_routes_keep_the_rules_of_their_kind() {
    each(
        "GRPCRoute",
        &[
            ("rules: [{matches: [{method: {service: a.b.C, method: D}}]}]", ""),
            ("rules: [{matches: [{method: {}}]}]", "neither service nor method"),
            ("rules: [{matches: [{method: {service: a/b}}]}]", "is no service"),
            ("rules: [{matches: [{method: {method: a.b}}]}]", "is no method"),
            ("rules: [{matches: [{method: {type: RegularExpression, service: '.*'}}]}]", ""),
            ("rules: [{filters: [{type: ExtensionRef}]}]", "`extensionRef` is missing"),
            ("rules: [{backendRefs: [{name: a}]}]", "without its port"),
        ],
    );
}

#[test]
fn gateways_keep_the_rules_of_their_kind() {
    let listeners =
        |listeners: &str| format!("gatewayClassName: culvert, listeners: [{listeners}]");
    let cases = [
        ("{name: a, port: 80, protocol: HTTP}", ""),
        (
            "{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}",
            "`a` is there already",
        ),
        (
            "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}",
            "this port, protocol and hostname",
        ),
        (
            "{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: a.example}",
            "",
        ),
        ("{name: a, port: 80, protocol: HTTP, tls: {options: {a: b}}}", "knows no tls"),
        (
            "{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}",
            "its mode is Terminate",
        ),
        ("{name: a, port: 443, protocol: HTTPS, tls: {}}", "needs a certificate"),
        ("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: a}]}}", ""),
        ("{name: a, port: 443, protocol: TLS}", "needs tls"),
        ("{name: a, port: 443, protocol: TLS, tls: {mode: Passthrough}}", ""),
        ("{name: a, port: 1, protocol: TCP, hostname: a.example}", "says no hostname"),
    ];
    let cases: Vec<_> = cases.iter().map(|(spec, expect)| (listeners(spec), *expect)).collect();
    let cases: Vec<_> = cases.iter().map(|(spec, expect)| (spec.as_str(), *expect)).collect();
    each("Gateway", &cases);
    let one = "gatewayClassName: a, listeners: [{name: a, port: 80, protocol: HTTP}]";
    each(
        "Gateway",
        &[
            (
                &format!("{one}, addresses: [{{value: 192.0.2.1}}, {{value: 192.0.2.1}}]"),
                "there already",
            ),
            (&format!("{one}, addresses: [{{type: Hostname, value: A_b}}]"), "no host name"),
            (&format!("{one}, addresses: [{{type: Nowhere}}]"), "is not one of IPAddress"),
            (
                &format!(
                    "{one}, tls: {{frontend: {{default: {{}}, perPort: [{{port: 1, tls: {{}}}}, {{port: 1, tls: {{}}}}]}}}}"
                ),
                "there already",
            ),
        ],
    );
}

#[test]
fn the_other_kinds_keep_their_rules() {
    let rules = "rules: [{backendRefs: [{name: a, port: 1}]}]";
    each(
        "TLSRoute",
        &[
            (&format!("hostnames: [a.example], {rules}"), ""),
            (rules, "`hostnames` is missing"),
            (&format!("hostnames: [192.0.2.1], {rules}"), "an address is no host name"),
        ],
    );
    let two = "rules: [{backendRefs: [{name: a, port: 1}]}, {backendRefs: [{name: b, port: 1}]}]";
    each("TCPRoute", &[(rules, ""), (two, "only one rule"), ("rules: []", "at least 1 item")]);
    let policy = |rest: &str| {
        format!(
            "targetRefs: [{{group: '', kind: Service, name: a}}], validation: {{hostname: a.example, {rest}}}"
        )
    };
    each(
        "BackendTLSPolicy",
        &[
            (&policy("wellKnownCACertificates: System"), ""),
            (&policy(""), "caCertificateRefs is needed"),
            (
                &policy(
                    "wellKnownCACertificates: System, caCertificateRefs: [{group: '', kind: ConfigMap, name: a}]",
                ),
                "only one of caCertificateRefs",
            ),
            (
                &policy(
                    "wellKnownCACertificates: System, subjectAltNames: [{type: URI, hostname: a.example}]",
                ),
                "`uri` is missing",
            ),
        ],
    );
    each(
        "GatewayClass",
        &[
            ("controllerName: culvert.dev/gateway", ""),
            ("controllerName: culvert", "not a controller"),
        ],
    );
    each(
        "ReferenceGrant",
        &[("from: [{group: a, kind: B, namespace: c}], to: [{group: '', kind: D}]", "")],
    );
}

/// What the channel of today demands was not demanded in versions that are still written.
#[test]
fn older_versions_ask_for_less() {
    let rules = "rules: [{backendRefs: [{name: a, port: 1}]}, {backendRefs: [{name: b, port: 1}]}]";
    for kind in ["TLSRoute", "TCPRoute"] {
        let version = "gateway.networking.k8s.io/v1alpha2";
        let text = format!(
            "{{apiVersion: {version}, kind: {kind}, metadata: {{name: a}}, spec: {{{rules}}}}}"
        );
        assert_eq!(told(&text), "");
    }
}

//! Rules over method, path, host, header, principal and port; one route for each combination.
use super::pairs;
use std::fmt::Write as _;

const PERMISSIONS: &[&str] = &[
    "{any: true}",
    "{header: {name: ':method', string_match: {exact: GET}}}",
    "{url_path: {path: {exact: /x/a}}}",
    "{url_path: {path: {prefix: /x/}}}",
    "{url_path: {path: {safe_regex: {regex: '/[xy]/[a-c]'}}}}",
    "{header: {name: ':authority', string_match: {suffix: .test}}}",
    "{header: {name: ':authority', string_match: {exact: 'a.test:80', ignore_case: true}}}",
    "{header: {name: x-h, string_match: {contains: mid}}}",
    "{header: {name: x-h, present_match: true, invert_match: true}}",
    "{destination_port: ${l}}",
    "{destination_port: 1}",
    "{destination_port_range: {start: 1, end: 65000}}",
    "{destination_ip: {address_prefix: 127.0.0.0, prefix_len: 8}}",
    "{not_rule: {header: {name: ':method', string_match: {exact: GET}}}}",
    "{and_rules: {rules: [{header: {name: ':method', string_match: {exact: POST}}}, {header: {name: x-h, present_match: true}}]}}",
    "{or_rules: {rules: [{header: {name: ':method', string_match: {exact: PUT}}}, {url_path: {path: {exact: /y/b}}}]}}",
    "{requested_server_name: {exact: a.test}}",
    "{metadata: {filter: none, path: [{key: a}], value: {string_match: {exact: b}}}}",
];

const PRINCIPALS: &[&str] = &[
    "{any: true}",
    "{direct_remote_ip: {address_prefix: 127.0.0.1, prefix_len: 32}}",
    "{remote_ip: {address_prefix: 9.9.9.0, prefix_len: 24}}",
    "{source_ip: {address_prefix: 127.0.0.0, prefix_len: 8}}",
    "{header: {name: x-user, string_match: {prefix: adm}}}",
    "{not_id: {header: {name: x-user, present_match: true}}}",
    "{authenticated: {}}",
    "{and_ids: {ids: [{any: true}, {header: {name: x-user, string_match: {exact: admin}}}]}}",
    "{or_ids: {ids: [{header: {name: x-user, string_match: {exact: bob}}}, {header: {name: x-h, present_match: true}}]}}",
    "{url_path: {path: {prefix: /x}}}",
];

/// What is asked of each route: method, path, host, and headers.
const ASKED: &[(&str, &str, &str, &str)] = &[
    ("GET", "/x/a", "a.test", ""),
    ("POST", "/x/a", "a.test:80", "x-h: amidst"),
    ("GET", "/y/b?q=/x/", "A.TEST:80", "x-user: admin"),
    ("PUT", "/z", "other", "x-h: none, x-user: bob, x-forwarded-for: 9.9.9.9"),
];

/// Each permission with each principal.
pub(super) fn rules(action: &str) -> String {
    let mut text = format!("about: every permission with every principal, {action}\n");
    text += "manager: {xff_num_trusted_hops: 0}\nfilters: [{rbac: {}}]\nlog: ['%RESPONSE_CODE_DETAILS%']\nroutes:\n";
    for (at, (permission, principal)) in pairs(PERMISSIONS, PRINCIPALS).enumerate() {
        writeln!(
            text,
            "- {{match: {{prefix: /, headers: [{{name: x-route, string_match: {{exact: r{at}}}}}]}}, direct_response: {{status: 200}}, \
             typed_per_filter_config: {{envoy.filters.http.rbac: {{\"@type\": \"${{T}}.filters.http.rbac.v3.RBACPerRoute\", \
             rbac: {{rules: {{action: {action}, policies: {{p{at}: {{permissions: [{permission}], principals: [{principal}]}}}}}}}}}}}}}}"
        )
        .unwrap();
    }
    text += "requests:\n";
    for at in 0..PERMISSIONS.len() * PRINCIPALS.len() {
        for (method, path, host, headers) in ASKED {
            let comma = if headers.is_empty() { "" } else { ", " };
            writeln!(text, "- {{method: {method}, path: '{path}', host: '{host}', connection: c, headers: {{x-route: r{at}{comma}{headers}}}}}").unwrap();
        }
    }
    text
}

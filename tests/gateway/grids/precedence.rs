//! Which of several routes that fit is taken, and which of several domains.
use super::pairs;
use std::fmt::Write as _;

const PATHS: &[&str] = &[
    "path: /a/b",
    "prefix: /a",
    "prefix: /A, case_sensitive: false",
    "safe_regex: {regex: '/a/.*'}",
    "path_separated_prefix: /a",
    "prefix: /",
];

const CONDITIONS: &[&str] = &[
    "",
    ", headers: [{name: x-h, string_match: {exact: v}}]",
    ", query_parameters: [{name: q, string_match: {exact: v}}]",
    ", headers: [{name: ':method', string_match: {exact: POST}}], query_parameters: [{name: q, present_match: true}]",
];

const ASKED: &[&str] = &[
    "get: /a/b",
    "get: '/a/b?q=v'",
    "get: '/a/b?q=w', headers: {x-h: v}",
    "get: /a",
    "get: /ab",
    "get: /A/B",
    "get: /a/c, headers: {x-h: v}",
    "post: '/a/c?q'",
    "get: /z",
];

/// The same routes in as many orders as there are routes: each begins with another one.
pub(super) fn routes() -> String {
    let all: Vec<String> = pairs(PATHS, CONDITIONS)
        .map(|(path, condition)| format!("{{{path}{condition}}}"))
        .collect();
    let mut text =
        "about: the first route that fits is taken, whatever the kinds\nvirtual_hosts:\n"
            .to_owned();
    for first in 0..all.len() {
        writeln!(text, "- name: v{first}\n  domains: [v{first}.test]\n  routes:").unwrap();
        for at in (0..all.len()).map(|n| (first + n * 7) % all.len()) {
            writeln!(text, "  - {{name: r{at}, match: {}, direct_response: {{status: 200, body: {{inline_string: r{at}}}}}}}", all[at]).unwrap();
        }
    }
    text += "requests:\n";
    for (first, asked) in pairs(&(0..all.len()).collect::<Vec<_>>(), ASKED) {
        writeln!(text, "- {{{asked}, host: v{first}.test, connection: c}}").unwrap();
    }
    text
}

const DOMAINS: &[&str] = &[
    "'*'",
    "a.test",
    "'a.test:80'",
    "'*.test'",
    "'*.a.test'",
    "'*a.test'",
    "'a.*'",
    "'a.b.*'",
    "'*.test:80'",
    "B.TEST",
    "'*.b.c.test'",
];

/// Every host of a list against all domains.
pub(super) fn domains() -> String {
    let mut text = "about: the most special domain wins\nvirtual_hosts:\n".to_owned();
    for (at, domain) in DOMAINS.iter().enumerate() {
        writeln!(text, "- {{name: v{at}, domains: [{domain}], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: {domain}}}}}}}]}}").unwrap();
    }
    text += "requests:\n";
    let labels = ["a", "b", "aa", "c", "a.b", "b.c", "x.b.c", "a.b.c"];
    let ends = [".test", ".test:80", ".test:81", ".a.test", ".x", ".TEST", ""];
    for (label, end) in pairs(&labels, &ends) {
        writeln!(text, "- {{get: /, host: '{label}{end}', connection: c}}").unwrap();
    }
    text
}

//! What is done to headers, and how they are looked at.
use super::pairs;
use std::fmt::Write as _;

const ACTIONS: &[&str] = &[
    "APPEND_IF_EXISTS_OR_ADD",
    "ADD_IF_ABSENT",
    "OVERWRITE_IF_EXISTS_OR_ADD",
    "OVERWRITE_IF_EXISTS",
];

const VALUES: &[&str] =
    &["new", "", "%REQ(x-src)%", "a-%REQ(x-none)%-b", "%REQ(x-src):2%%PROTOCOL%", "100%%"];

const EXISTING: &[&str] =
    &["[]", "[[x-key, old]]", "[[x-key, one], [x-key, two]]", "[[x-key, '']]"];

/// Every action with every value, upon nothing, one and two; for requests and answers.
pub(super) fn operations() -> String {
    let mut text = "about: every action upon every header\nroutes:\n".to_owned();
    let operations: Vec<_> = pairs(ACTIONS, VALUES).collect();
    for (at, (action, value)) in operations.iter().enumerate() {
        for keep in [false, true] {
            let change = format!(
                "[{{header: {{key: x-key, value: '{value}'}}, append_action: {action}, keep_empty_value: {keep}}}]"
            );
            writeln!(text, "- {{match: {{path: /{at}{keep}}}, route: {{cluster: b1}}, request_headers_to_add: {change}, response_headers_to_add: {change}}}").unwrap();
        }
    }
    text += "requests:\n";
    for at in 0..operations.len() {
        for (keep, existing) in pairs(&[false, true], EXISTING) {
            let with = existing.replacen('[', "[[x-src, source], ", 1).replace(", ]", "]");
            writeln!(text, "- {{get: /{at}{keep}, connection: c, headers: {with}, answers: [{{body: x, headers: {existing}}}]}}").unwrap();
        }
    }
    text
}

const CONDITIONS: &[&str] = &[
    "string_match: {exact: Abc}",
    "string_match: {exact: abc, ignore_case: true}",
    "string_match: {prefix: Ab}",
    "string_match: {suffix: bc}",
    "string_match: {contains: b}",
    "string_match: {safe_regex: {regex: 'A.c'}}",
    "string_match: {safe_regex: {regex: '[0-9]+'}}",
    "present_match: true",
    "present_match: false",
    "range_match: {start: 1, end: 20}",
    "exact_match: Abc",
    "prefix_match: A",
    "suffix_match: c",
    "contains_match: b",
    "safe_regex_match: {regex: '.*'}",
];

const SHOWN: &[&str] = &[
    "[]",
    "[[x-k, Abc]]",
    "[[x-k, abc]]",
    "[[x-k, '']]",
    "[[x-k, '12']]",
    "[[x-k, zz], [x-k, Abc]]",
    "[[X-K, Abc]]",
];

/// Every condition, straight and inverted, with and without missing as empty.
pub(super) fn matches() -> String {
    let mut text = "about: every condition upon every header\nroutes:\n".to_owned();
    let variants = [
        "",
        ", invert_match: true",
        ", treat_missing_header_as_empty: true",
        ", invert_match: true, treat_missing_header_as_empty: true",
    ];
    let all: Vec<_> = pairs(CONDITIONS, &variants).collect();
    for (at, (condition, variant)) in all.iter().enumerate() {
        writeln!(text, "- {{match: {{path: /{at}, headers: [{{name: x-k, {condition}{variant}}}]}}, direct_response: {{status: 200}}}}").unwrap();
    }
    text += "requests:\n";
    for (at, shown) in pairs(&(0..all.len()).collect::<Vec<_>>(), SHOWN) {
        writeln!(text, "- {{get: /{at}, connection: c, headers: {shown}}}").unwrap();
    }
    text
}

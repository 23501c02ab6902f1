//! What becomes of paths and headers.
use super::{
    super::plan::{
        matching::PathMatch,
        rule::{HeaderOps, PathRewrite},
    },
    matching::segments,
    words::{is_name, is_regex, is_value, regex},
};
use culvert_model::http::{format::Template, matcher::Substitution};
use culvert_proto::api::envoy::{
    config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
    r#type::matcher::v3::RegexMatchAndSubstitute,
};

/// What becomes of a path, in one of Envoy's two ways.
pub(super) enum Rewritten {
    Prefix(String),
    Regex(RegexMatchAndSubstitute),
}

/// `None`: it stays.
pub(super) fn rewritten(of: &PathRewrite, path: &PathMatch) -> Option<Rewritten> {
    match of {
        PathRewrite::Full(to) => Some(Rewritten::Regex(whole(to))),
        PathRewrite::Regex { pattern, substitution } => {
            let fine = is_regex(pattern) && Substitution::new(pattern, substitution).is_ok();
            fine.then(|| Rewritten::Regex(substitute(pattern, substitution.to_string())))
        }
        PathRewrite::Prefix(to) if !is_value(to) => None,
        PathRewrite::Prefix(to) => Some(match path {
            PathMatch::Regex(_) => Rewritten::Regex(whole(to)),
            PathMatch::Segments(prefix) => below(segments(prefix), to),
            PathMatch::Any => below("", to),
            PathMatch::Exact(_) | PathMatch::Prefix(_) if to.is_empty() => {
                Rewritten::Regex(whole("/"))
            }
            PathMatch::Exact(_) | PathMatch::Prefix(_) => Rewritten::Prefix(to.to_string()),
        }),
    }
}

/// Segments in the place of others: slashes between are neither lost nor doubled.
fn below(prefix: &str, to: &str) -> Rewritten {
    let to = segments(to);
    match (prefix, to) {
        ("", "") => Rewritten::Prefix("/".into()),
        ("", to) => Rewritten::Prefix(format!("{to}/")),
        (prefix, "") => {
            let pattern = format!("^{}/*", escaped(prefix));
            Rewritten::Regex(substitute(&pattern, "/".into()))
        }
        (_, to) => Rewritten::Prefix(to.to_owned()),
    }
}

fn whole(to: &str) -> RegexMatchAndSubstitute {
    substitute("^.+$", to.replace('\\', "\\\\"))
}

fn substitute(pattern: &str, substitution: String) -> RegexMatchAndSubstitute {
    let substitution = if is_value(&substitution) { substitution } else { String::new() };
    RegexMatchAndSubstitute { pattern: Some(regex(pattern)), substitution }
}

/// A text as part of a regular expression.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '/' && c != '_' && c != '-' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

pub(super) fn additions(ops: &HeaderOps) -> Vec<HeaderValueOption> {
    let set = ops.set.iter().map(|pair| (pair, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = ops.add.iter().map(|pair| (pair, HeaderAppendAction::AppendIfExistsOrAdd));
    let fine = set.chain(add).filter(|((name, value), _)| is_changeable(name) && is_value(value));
    fine.map(|((name, value), how)| HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_string(),
            value: match Template::header(value) {
                Ok(_) => value.to_string(),
                Err(_) => HeaderOps::literal(value).to_string(),
            },
            ..HeaderValue::default()
        }),
        append_action: how.into(),
        keep_empty_value: true,
        ..HeaderValueOption::default()
    })
    .collect()
}

pub(super) fn removals(ops: &HeaderOps) -> Vec<String> {
    let fine = ops.remove.iter().filter(|name| is_changeable(name));
    fine.map(ToString::to_string).collect()
}

/// Envoy lets nobody change these: they are rewritten otherwise.
fn is_changeable(name: &str) -> bool {
    is_name(name) && !name.starts_with(':') && !name.eq_ignore_ascii_case("host")
}

//! Forms that header values have had from before they shared the language of access logs.
use std::borrow::Cow;

/// `UPSTREAM_METADATA(["ns", "key"])` as `UPSTREAM_METADATA(ns:key)` (and `DYNAMIC_METADATA`),
/// `PER_REQUEST_STATE(key)` as `FILTER_STATE(key:PLAIN)`; anything else as it is.
pub(super) fn translate(token: &str) -> Cow<'_, str> {
    if let Some(key) = inside(token, "PER_REQUEST_STATE(") {
        return Cow::Owned(format!("FILTER_STATE({key}:PLAIN)"));
    }
    for name in ["UPSTREAM_METADATA", "DYNAMIC_METADATA"] {
        let Some(list) = token.strip_prefix(name).and_then(|rest| inside(rest, "(")) else {
            continue;
        };
        if let Some(keys) = keys(list) {
            return Cow::Owned(format!("{name}({})", keys.join(":")));
        }
    }
    Cow::Borrowed(token)
}

fn inside<'a>(token: &'a str, open: &str) -> Option<&'a str> {
    token.strip_prefix(open)?.strip_suffix(')')
}

/// The strings of a JSON list, if it is one without escapes.
fn keys(list: &str) -> Option<Vec<&str>> {
    let inside = list.trim().strip_prefix('[')?.strip_suffix(']')?;
    inside.split(',').map(|key| key.trim().strip_prefix('"')?.strip_suffix('"')).collect()
}

//! Where redirects point to.
use culvert_model::http::route::{PathMatch, Redirect, RedirectPath, RedirectScheme};

use super::{host::port_start, rewrite::replaced_prefix};
use crate::http::facts::Head;

/// The place that a redirect names.
#[must_use]
pub fn location(redirect: &Redirect, when: &PathMatch, head: &Head<'_>) -> String {
    let scheme = match &redirect.scheme {
        None => head.scheme,
        Some(RedirectScheme::Https) => "https",
        Some(RedirectScheme::Named(scheme)) => scheme,
    };
    let host = match &redirect.host {
        Some(host) => host,
        None => kept_host(head, scheme, redirect.port.is_some()),
    };
    let port = redirect.port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}{}", path(redirect, when, head))
}

/// Where requests without TLS are sent by virtual hosts that want it.
#[must_use]
pub fn https_location(head: &Head<'_>) -> String {
    format!("https://{}{}", head.authority, head.path)
}

/// The request's host; without its port where that is redirected, or belongs to the old scheme.
fn kept_host<'a>(head: &Head<'a>, scheme: &str, new_port: bool) -> &'a str {
    let host = head.authority;
    let Some((name, port)) = port_start(host).and_then(|colon| host.split_at_checked(colon)) else {
        return host;
    };
    let of_old_scheme =
        scheme != head.scheme && matches!((head.scheme, port), ("https", ":443") | ("http", ":80"));
    if new_port || of_old_scheme { name } else { host }
}

fn path(redirect: &Redirect, when: &PathMatch, head: &Head<'_>) -> String {
    let (bare, query) = match head.path.find('?').and_then(|at| head.path.split_at_checked(at)) {
        Some((bare, query)) => (bare, if redirect.strip_query { "" } else { query }),
        None => (head.path, ""),
    };
    match &redirect.path {
        RedirectPath::Keep => format!("{bare}{query}"),
        // A query of its own is before the request's, and is never stripped.
        RedirectPath::Replace(new) if new.contains('?') => new.to_string(),
        RedirectPath::Replace(new) => format!("{new}{query}"),
        RedirectPath::Prefix(new) => format!("{}{query}", replaced_prefix(when, bare, new)),
        RedirectPath::Regex(substitution) => {
            let new = substitution.apply(bare.as_bytes());
            format!("{}{query}", String::from_utf8_lossy(&new))
        }
    }
}

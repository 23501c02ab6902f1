//! Cases that are made: every combination of some conditions in one configuration.
mod headers;
mod logs;
mod precedence;
mod rbac;
mod retries;

type Grid = fn() -> String;

/// By name.
pub(crate) const ALL: &[(&str, Grid)] = &[
    ("header_operations", headers::operations),
    ("header_matches", headers::matches),
    ("log_operators", logs::operators),
    ("log_lengths", logs::lengths),
    ("precedence", precedence::routes),
    ("domains", precedence::domains),
    ("rbac_allow", || rbac::rules("ALLOW")),
    ("rbac_deny", || rbac::rules("DENY")),
    ("retry_on", retries::conditions),
];

/// Every pair of one of `a` and one of `b`.
fn pairs<'a, A, B>(a: &'a [A], b: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    a.iter().flat_map(|a| b.iter().map(move |b| (a, b)))
}

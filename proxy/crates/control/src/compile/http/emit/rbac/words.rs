//! Conditions of policies in Envoy's words.
use super::{
    Sees,
    term::{Term as _, all_of, any_of, permission, principal},
};
use crate::compile::http::{
    emit::{
        rewrite::escaped,
        words::{is_name, pattern, range, regex},
    },
    plan::policy::{Attribute, PolicyCondition},
};
use culvert_proto::api::envoy::{
    config::{
        rbac::v3::{
            Permission, Principal,
            permission::Rule,
            principal::{Authenticated, Identifier},
        },
        route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    },
    r#type::matcher::v3::{PathMatcher, StringMatcher, path_matcher, string_matcher::MatchPattern},
};
use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc};

/// What can be said of a condition.
pub(super) enum Said {
    Always,
    Never,
    If(Means),
    /// It cannot be answered here.
    Unknown,
}

/// Envoy asks what is done, and by whom.
pub(super) enum Means {
    Permission(Permission),
    Principal(Principal),
}

/// What `condition` comes to; `namespace` is the policy's own.
pub(super) fn condition(of: &PolicyCondition, sees: Sees, namespace: &str) -> Said {
    let PolicyCondition { attribute, is, is_not } = of;
    if sees == Sees::Bytes && is_of_requests(attribute) {
        return Said::Unknown;
    }
    if is.is_empty() && is_not.is_empty() {
        // Something unknown stays so, whatever it is asked.
        let is_unmet = matches!(attribute, Attribute::Unmet(_));
        return if is_unmet { Said::Unknown } else { Said::Always };
    }
    let read = |all: &[Arc<str>]| -> Option<Vec<Means>> {
        all.iter().map(|value| one(attribute, value, namespace)).collect()
    };
    let (Some(is), Some(is_not)) = (read(is), read(is_not)) else { return Said::Unknown };
    let wanted = any(is);
    let unwanted = any(is_not).map(not);
    match (wanted, unwanted) {
        (None, None) => Said::Always,
        (Some(one), None) | (None, Some(one)) => Said::If(one),
        (Some(a), Some(b)) => match both(a, b) {
            Some(one) => Said::If(one),
            None => Said::Never,
        },
    }
}

/// Any of values, which are all of one attribute and so of one kind.
fn any(all: Vec<Means>) -> Option<Means> {
    let (mut permissions, mut principals) = (Vec::new(), Vec::new());
    for one in all {
        match one {
            Means::Permission(one) => permissions.push(one),
            Means::Principal(one) => principals.push(one),
        }
    }
    match (permissions.is_empty(), principals.is_empty()) {
        (true, true) => None,
        (false, _) => Some(Means::Permission(any_of(permissions))),
        (true, false) => Some(Means::Principal(any_of(principals))),
    }
}

fn not(one: Means) -> Means {
    match one {
        Means::Permission(one) => Means::Permission(Permission::not(one)),
        Means::Principal(one) => Means::Principal(Principal::not(one)),
    }
}

fn both(a: Means, b: Means) -> Option<Means> {
    match (a, b) {
        (Means::Permission(a), Means::Permission(b)) => Some(Means::Permission(all_of(vec![a, b]))),
        (Means::Principal(a), Means::Principal(b)) => Some(Means::Principal(all_of(vec![a, b]))),
        (Means::Permission(_), Means::Principal(_))
        | (Means::Principal(_), Means::Permission(_)) => None,
    }
}

/// What only requests have.
fn is_of_requests(attribute: &Attribute) -> bool {
    match attribute {
        Attribute::RemoteIp
        | Attribute::Host
        | Attribute::Method
        | Attribute::Path
        | Attribute::Header(_) => true,
        Attribute::Principal
        | Attribute::Namespace
        | Attribute::TrustDomain
        | Attribute::ServiceAccount
        | Attribute::SourceIp
        | Attribute::DestinationIp
        | Attribute::DestinationPort
        | Attribute::Sni
        | Attribute::Unmet(_) => false,
    }
}

/// `None`: the value means nothing.
fn one(attribute: &Attribute, value: &str, namespace: &str) -> Option<Means> {
    let id = |identifier| Some(Means::Principal(principal(identifier)));
    let rule = |rule| Some(Means::Permission(permission(rule)));
    let net = || {
        let single = |value: &str| value.parse::<IpAddr>().ok().map(IpNet::from);
        value.parse::<IpNet>().ok().or_else(|| single(value)).map(|net| range(net.trunc()))
    };
    match attribute {
        Attribute::Principal => id(named(&identity(value))),
        Attribute::TrustDomain => id(named(&format!("spiffe://{}/.+", wild(value, "[^/]*")))),
        Attribute::Namespace => id(named(&of_namespace(value, "[^/]+"))),
        Attribute::ServiceAccount => {
            let (namespace, account) = value.split_once('/').unwrap_or((namespace, value));
            id(named(&of_namespace(namespace, &wild(account, "[^/]*"))))
        }
        Attribute::SourceIp => id(Identifier::DirectRemoteIp(net()?)),
        Attribute::RemoteIp => id(Identifier::RemoteIp(net()?)),
        Attribute::DestinationIp => rule(Rule::DestinationIp(net()?)),
        Attribute::DestinationPort => {
            let port = value.parse::<u16>().ok().filter(|port| *port != 0)?;
            rule(Rule::DestinationPort(port.into()))
        }
        Attribute::Sni => rule(Rule::RequestedServerName(text(value))),
        Attribute::Host => {
            let host = text(value);
            // Envoy takes it for a mistake beside a regular expression, which is `*` alone here.
            let is_regex = matches!(host.match_pattern, Some(MatchPattern::SafeRegex(_)));
            let host = StringMatcher { ignore_case: !is_regex, ..host };
            rule(Rule::Header(header(":authority", host)))
        }
        Attribute::Method => rule(Rule::Header(header(":method", text(value)))),
        Attribute::Path => {
            rule(Rule::UrlPath(PathMatcher { rule: Some(path_matcher::Rule::Path(path(value))) }))
        }
        Attribute::Header(name) if is_name(name) => match value {
            "*" => rule(Rule::Header(HeaderMatcher {
                name: name.to_string(),
                header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
                ..HeaderMatcher::default()
            })),
            value => rule(Rule::Header(header(name, text(value)))),
        },
        Attribute::Header(_) | Attribute::Unmet(_) => None,
    }
}

fn header(name: &str, matcher: StringMatcher) -> HeaderMatcher {
    HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(matcher)),
        ..HeaderMatcher::default()
    }
}

/// Whoever's certificate has a name that matches.
fn named(pattern_of_name: &str) -> Identifier {
    let matcher = pattern(MatchPattern::SafeRegex(regex(pattern_of_name)));
    Identifier::Authenticated(Authenticated { principal_name: Some(matcher) })
}

/// `cluster.local/ns/shop/sa/web`, with one `*`.
fn identity(value: &str) -> String {
    match value {
        "*" => "spiffe://.+".to_owned(),
        value => format!("spiffe://{}", wild(value, ".*")),
    }
}

/// Identities of a namespace, whose account is like `account`, a regular expression.
fn of_namespace(namespace: &str, account: &str) -> String {
    format!("spiffe://[^/]+/ns/{}/sa/{account}", wild(namespace, "[^/]*"))
}

/// A text with at most one `*`, in front or behind, that stands for `anything`.
fn wild(value: &str, anything: &str) -> String {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(rest), _) => format!("{anything}{}", escaped(rest)),
        (None, Some(rest)) => format!("{}{anything}", escaped(rest)),
        (None, None) => escaped(value),
    }
}

/// Exact, or with a `*` in front, behind, or alone.
fn text(value: &str) -> StringMatcher {
    pattern(match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(""), _) => MatchPattern::SafeRegex(regex(".+")),
        (Some(suffix), _) => MatchPattern::Suffix(suffix.to_owned()),
        (None, Some(prefix)) => MatchPattern::Prefix(prefix.to_owned()),
        (None, None) => MatchPattern::Exact(value.to_owned()),
    })
}

/// The same, or a template: `{*}` is one segment, `{**}` any number of them.
fn path(value: &str) -> StringMatcher {
    if !value.contains("{*}") && !value.contains("{**}") {
        return text(value);
    }
    let mut rest = value;
    let mut built = String::new();
    while let Some(at) = rest.find("{*") {
        let (before, from) = rest.split_at(at);
        built.push_str(&escaped(before));
        rest = if let Some(after) = from.strip_prefix("{**}") {
            built.push_str(".*");
            after
        } else if let Some(after) = from.strip_prefix("{*}") {
            built.push_str("[^/]+");
            after
        } else {
            built.push_str(&escaped("{*"));
            from.strip_prefix("{*").unwrap_or_default()
        };
    }
    built.push_str(&escaped(rest));
    pattern(MatchPattern::SafeRegex(regex(&built)))
}

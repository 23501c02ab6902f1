//! Words of filters and matches, as a plan says them.
use crate::{
    compile::http::plan::{
        Fraction,
        matching::{self, Text, Wanted},
        rule::{self, HeaderOps, PathRewrite},
    },
    object::{
        gateway_api::{
            filter::{Cors, CorsMethod, PathModifier},
            header::{Header, HeaderMatch, HeaderModifier, TextMatch},
            http_route::Method,
            text::HeaderName,
        },
        spanned::Spanned,
    },
};
use std::time::Duration;

/// Of several of one name, whatever its case, the first counts.
pub(super) fn headers<'a>(
    written: impl Iterator<Item = &'a Spanned<HeaderMatch>>,
) -> Vec<matching::HeaderMatch> {
    let mut found: Vec<matching::HeaderMatch> = Vec::new();
    for Spanned { value: HeaderMatch { name, how, value }, .. } in written {
        if found.iter().all(|other| !other.name.eq_ignore_ascii_case(name)) {
            let wanted = Wanted::Text(text(*how, value));
            found.push(matching::HeaderMatch { name: (**name).into(), wanted, not: false });
        }
    }
    found
}

pub(super) fn text(how: TextMatch, value: &str) -> Text {
    match how {
        TextMatch::Exact => Text::Exact(value.into()),
        TextMatch::RegularExpression => Text::Regex(value.into()),
    }
}

pub(super) fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
    }
}

pub(super) fn header_ops(modifier: &HeaderModifier) -> HeaderOps {
    let pairs = |headers: &[Spanned<Header>]| {
        let pair = |header: &Spanned<Header>| {
            ((*header.value.name).into(), HeaderOps::literal(&header.value.value))
        };
        headers.iter().map(pair).collect()
    };
    HeaderOps {
        remove: modifier.remove.iter().map(|name| name.value.as_str().into()).collect(),
        set: pairs(&modifier.set),
        add: pairs(&modifier.add),
    }
}

pub(super) fn rewrite(path: &PathModifier) -> PathRewrite {
    match path {
        PathModifier::Full(path) => PathRewrite::Full((**path).into()),
        PathModifier::Prefix(path) => PathRewrite::Prefix((**path).into()),
    }
}

pub(super) fn fraction(part: u32, of: u32) -> Fraction {
    let millionths = u64::from(part) * 1_000_000 / u64::from(of.max(1));
    Fraction::of_a_million(u32::try_from(millionths).unwrap_or(u32::MAX))
}

pub(super) fn cors(written: &Cors) -> rule::Cors {
    let origin = |origin: &str| match origin {
        // Any, of a scheme or of all: a part of it stands for whatever is there.
        _ if origin.contains('*') => {
            Text::Regex(origin.replace('.', "\\.").replace('*', ".*").into())
        }
        origin => Text::Exact(origin.into()),
    };
    let names = |headers: &[Spanned<HeaderName>]| {
        headers.iter().map(|header| (*header.value).into()).collect()
    };
    rule::Cors {
        origins: written.allow_origins.iter().map(|one| origin(&one.value)).collect(),
        methods: written.allow_methods.iter().map(|one| cors_method(one.value).into()).collect(),
        headers: names(&written.allow_headers),
        expose: names(&written.expose_headers),
        max_age: Some(Duration::from_secs(written.max_age().into())),
        credentials: written.allow_credentials.unwrap_or(false),
        forward_others: false,
    }
}

fn cors_method(method: CorsMethod) -> &'static str {
    match method {
        CorsMethod::Get => "GET",
        CorsMethod::Head => "HEAD",
        CorsMethod::Post => "POST",
        CorsMethod::Put => "PUT",
        CorsMethod::Delete => "DELETE",
        CorsMethod::Connect => "CONNECT",
        CorsMethod::Options => "OPTIONS",
        CorsMethod::Trace => "TRACE",
        CorsMethod::Patch => "PATCH",
        CorsMethod::Any => "*",
    }
}

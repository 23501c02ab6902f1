//! What becomes of calls.
use super::{
    rule::{Author, Deed, Wrong},
    words,
};
use crate::{
    compile::http::plan::matching::{HttpMatch, PathMatch},
    object::gateway_api::{
        grpc_route::{GrpcMatch, GrpcRule, MethodMatch},
        header::TextMatch,
    },
};

/// What a rule of a `GRPCRoute` comes to.
pub(super) fn deed(author: Author<'_, '_>, rule: &GrpcRule, wrong: &mut Wrong) -> Deed {
    let filters = rule.filters.iter().map(|filter| &filter.value.0);
    let backends = rule.backend_refs.iter().map(|backend| &backend.value);
    if rule.session_persistence.is_some() {
        wrong
            .unsupported
            .push("sessionPersistence is not there yet: any endpoint gets any call".into());
    }
    author.deed(filters, backends, |filter| &filter.0, wrong)
}

/// Which requests one match is for: a call is a request for `/SERVICE/METHOD`.
pub(super) fn matching(written: &GrpcMatch) -> HttpMatch {
    let method = written.method.as_ref().map(|method| &method.value);
    HttpMatch {
        path: method.map_or(PathMatch::Any, path),
        headers: words::headers(written.headers.iter()),
        ..HttpMatch::default()
    }
}

fn path(method: &MethodMatch) -> PathMatch {
    let service = method.service.as_deref().map(|name| match method.how {
        // As descriptors write whole names.
        TextMatch::Exact => name.strip_prefix('.').unwrap_or(name),
        TextMatch::RegularExpression => name,
    });
    match (method.how, service, method.method.as_deref()) {
        (_, None, None) => PathMatch::Any,
        (TextMatch::Exact, Some(service), Some(method)) => {
            PathMatch::Exact(format!("/{service}/{method}").into())
        }
        (TextMatch::Exact, Some(service), None) => PathMatch::Prefix(format!("/{service}/").into()),
        (TextMatch::Exact, None, Some(method)) => {
            PathMatch::Regex(format!("/[^/]+/{method}").into())
        }
        (TextMatch::RegularExpression, service, method) => {
            let part =
                |part: Option<&str>| part.map_or("[^/]+".to_owned(), |part| format!("(?:{part})"));
            PathMatch::Regex(format!("/{}/{}", part(service), part(method)).into())
        }
    }
}

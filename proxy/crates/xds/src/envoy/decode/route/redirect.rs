//! Answers with another place.
use super::super::{
    Got, Path, Wrong,
    basic::{known, port, some},
    text::substitution,
};
use culvert_model::http::route::{
    PathMatch, Redirect, RedirectCode, RedirectPath, RedirectScheme, RouteMatch,
};
use culvert_proto::api::envoy::config::route::v3::{
    self as pb,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
};

pub(super) fn decode(
    value: &pb::RedirectAction,
    when: &RouteMatch,
    path: &Path<'_>,
) -> Got<Redirect> {
    let code = match known(value.response_code, &path.field("response_code"))? {
        RedirectResponseCode::MovedPermanently => RedirectCode::MovedPermanently,
        RedirectResponseCode::Found => RedirectCode::Found,
        RedirectResponseCode::SeeOther => RedirectCode::SeeOther,
        RedirectResponseCode::TemporaryRedirect => RedirectCode::Temporary,
        RedirectResponseCode::PermanentRedirect => RedirectCode::Permanent,
    };
    let scheme = match &value.scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some(RedirectScheme::Https),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
            Some(RedirectScheme::Named(scheme.as_str().into()))
        }
        Some(
            SchemeRewriteSpecifier::HttpsRedirect(false)
            | SchemeRewriteSpecifier::SchemeRedirect(_),
        )
        | None => None,
    };
    let to = match &value.path_rewrite_specifier {
        None => RedirectPath::Keep,
        Some(PathRewriteSpecifier::PathRedirect(to)) if to.is_empty() => RedirectPath::Keep,
        Some(PathRewriteSpecifier::PathRedirect(to)) => RedirectPath::Replace(to.as_str().into()),
        Some(PathRewriteSpecifier::PrefixRewrite(to)) => {
            if matches!(when.path, PathMatch::Regex(_)) {
                let what = "a route that matches by safe_regex has no prefix; give regex_rewrite";
                return Err(Wrong::at(&path.field("prefix_rewrite"), what));
            }
            RedirectPath::Prefix(to.as_str().into())
        }
        Some(PathRewriteSpecifier::RegexRewrite(of)) => {
            RedirectPath::Regex(substitution(of, &path.field("regex_rewrite"))?)
        }
        Some(PathRewriteSpecifier::PathRewrite(_)) => {
            return Err(Wrong::at(&path.field("path_rewrite"), "is not supported"));
        }
    };
    Ok(Redirect {
        code,
        scheme,
        host: some(&value.host_redirect),
        port: Some(port(value.port_redirect, &path.field("port_redirect"))?).filter(|p| *p != 0),
        path: to,
        strip_query: value.strip_query,
    })
}

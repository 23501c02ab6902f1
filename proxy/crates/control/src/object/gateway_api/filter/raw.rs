//! Filters as written: a type, and the one field that belongs to it.
use super::{Cors, Filter, GrpcFilter, Mirror, PathModifier, Redirect, Rewrite};
use crate::object::gateway_api::{header::HeaderModifier, reference::LocalRef, text::NewPath};
use serde::{Deserialize, de::IgnoredAny as Ignored};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawFilter {
    #[serde(rename = "type")]
    kind: Kind,
    request_header_modifier: Option<HeaderModifier>,
    response_header_modifier: Option<HeaderModifier>,
    request_mirror: Option<Mirror>,
    request_redirect: Option<Redirect>,
    url_rewrite: Option<Rewrite>,
    cors: Option<Cors>,
    extension_ref: Option<LocalRef>,
    external_auth: Option<Ignored>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Kind {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    RequestRedirect,
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
    #[serde(rename = "CORS")]
    Cors,
    ExtensionRef,
    ExternalAuth,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawGrpcFilter {
    #[serde(rename = "type")]
    kind: GrpcKind,
    request_header_modifier: Option<HeaderModifier>,
    response_header_modifier: Option<HeaderModifier>,
    request_mirror: Option<Mirror>,
    extension_ref: Option<LocalRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum GrpcKind {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestMirror,
    ExtensionRef,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPath {
    #[serde(rename = "type")]
    kind: PathKind,
    replace_full_path: Option<NewPath>,
    replace_prefix_match: Option<NewPath>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum PathKind {
    ReplaceFullPath,
    ReplacePrefixMatch,
}

impl TryFrom<RawFilter> for Filter {
    type Error = String;

    fn try_from(raw: RawFilter) -> Result<Self, String> {
        let RawFilter {
            kind,
            request_header_modifier,
            response_header_modifier,
            request_mirror,
            request_redirect,
            url_rewrite,
            cors,
            extension_ref,
            external_auth,
        } = raw;
        let all = [
            ("requestHeaderModifier", request_header_modifier.map(Self::RequestHeaders)),
            ("responseHeaderModifier", response_header_modifier.map(Self::ResponseHeaders)),
            ("requestMirror", request_mirror.map(Self::Mirror)),
            ("requestRedirect", request_redirect.map(Self::Redirect)),
            ("urlRewrite", url_rewrite.map(Self::Rewrite)),
            ("cors", cors.map(Self::Cors)),
            ("extensionRef", extension_ref.map(Self::Extension)),
            ("externalAuth", external_auth.map(|_| Self::ExternalAuth)),
        ];
        let (name, field) = match kind {
            Kind::RequestHeaderModifier => ("RequestHeaderModifier", "requestHeaderModifier"),
            Kind::ResponseHeaderModifier => ("ResponseHeaderModifier", "responseHeaderModifier"),
            Kind::RequestMirror => ("RequestMirror", "requestMirror"),
            Kind::RequestRedirect => ("RequestRedirect", "requestRedirect"),
            Kind::UrlRewrite => ("URLRewrite", "urlRewrite"),
            Kind::Cors => ("CORS", "cors"),
            Kind::ExtensionRef => ("ExtensionRef", "extensionRef"),
            Kind::ExternalAuth => ("ExternalAuth", "externalAuth"),
        };
        the_one(name, field, all)
    }
}

impl TryFrom<RawGrpcFilter> for GrpcFilter {
    type Error = String;

    fn try_from(raw: RawGrpcFilter) -> Result<Self, String> {
        let RawGrpcFilter {
            kind,
            request_header_modifier,
            response_header_modifier,
            request_mirror,
            extension_ref,
        } = raw;
        let all = [
            ("requestHeaderModifier", request_header_modifier.map(Filter::RequestHeaders)),
            ("responseHeaderModifier", response_header_modifier.map(Filter::ResponseHeaders)),
            ("requestMirror", request_mirror.map(Filter::Mirror)),
            ("extensionRef", extension_ref.map(Filter::Extension)),
        ];
        let (name, field) = match kind {
            GrpcKind::RequestHeaderModifier => ("RequestHeaderModifier", "requestHeaderModifier"),
            GrpcKind::ResponseHeaderModifier => {
                ("ResponseHeaderModifier", "responseHeaderModifier")
            }
            GrpcKind::RequestMirror => ("RequestMirror", "requestMirror"),
            GrpcKind::ExtensionRef => ("ExtensionRef", "extensionRef"),
        };
        the_one(name, field, all).map(Self)
    }
}

impl TryFrom<RawPath> for PathModifier {
    type Error = String;

    fn try_from(raw: RawPath) -> Result<Self, String> {
        let RawPath { kind, replace_full_path, replace_prefix_match } = raw;
        let all = [
            ("replaceFullPath", replace_full_path.map(Self::Full)),
            ("replacePrefixMatch", replace_prefix_match.map(Self::Prefix)),
        ];
        match kind {
            PathKind::ReplaceFullPath => the_one("ReplaceFullPath", "replaceFullPath", all),
            PathKind::ReplacePrefixMatch => {
                the_one("ReplacePrefixMatch", "replacePrefixMatch", all)
            }
        }
    }
}

/// Of the fields that only one type has each, that of the type.
fn the_one<T, const N: usize>(
    kind: &str,
    field: &str,
    all: [(&str, Option<T>); N],
) -> Result<T, String> {
    let mut found = Err(format!("type is {kind}, and `{field}` is missing"));
    for (name, value) in all {
        match value {
            Some(value) if name == field => found = Ok(value),
            Some(_) => return Err(format!("type is {kind}, and `{name}` is set")),
            None => {}
        }
    }
    found
}

//! What becomes of requests on the way.
use super::{
    few::Few,
    header::{HeaderModifier, as_set},
    reference::{LocalRef, MirrorRef},
    text::{CorsOrigin, HeaderName, NewPath, PreciseHostname},
};
use crate::{
    object::{meta::Meta, port::Port, spanned::Spanned},
    problem::{Mark, Problem},
};
use raw::{RawFilter, RawGrpcFilter, RawPath};
use serde::Deserialize;

mod raw;

/// One thing that happens to requests, or instead of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawFilter")]
pub enum Filter {
    RequestHeaders(HeaderModifier),
    ResponseHeaders(HeaderModifier),
    Mirror(Mirror),
    Redirect(Redirect),
    Rewrite(Rewrite),
    Cors(Cors),
    /// Something of another's making.
    Extension(LocalRef),
    /// Another is asked first.
    ExternalAuth,
}

/// A filter of a `GRPCRoute`, which has fewer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawGrpcFilter")]
pub struct GrpcFilter(pub Filter);

/// A copy of requests, whose answers nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    pub backend_ref: Spanned<MirrorRef>,
    percent: Option<Percent>,
    fraction: Option<Spanned<Fraction>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
struct Percent(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Fraction {
    numerator: u32,
    denominator: Option<u32>,
}

/// An answer that says where to ask instead.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    pub scheme: Option<Scheme>,
    pub hostname: Option<PreciseHostname>,
    pub path: Option<PathModifier>,
    port: Option<Port>,
    status_code: Option<RedirectStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
struct RedirectStatus(u16);

/// What a request says it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rewrite {
    pub hostname: Option<PreciseHostname>,
    pub path: Option<PathModifier>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawPath")]
pub enum PathModifier {
    Full(NewPath),
    /// In the place of the prefix that matched.
    Prefix(NewPath),
}

/// What scripts of other origins may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cors {
    pub allow_origins: Few<Spanned<CorsOrigin>, 0, 64>,
    pub allow_credentials: Option<bool>,
    pub allow_methods: Few<Spanned<CorsMethod>, 0, 9>,
    pub allow_headers: Few<Spanned<HeaderName>, 0, 64>,
    pub expose_headers: Few<Spanned<HeaderName>, 0, 64>,
    max_age: Option<MaxAge>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CorsMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    #[serde(rename = "*")]
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
struct MaxAge(u32);

impl TryFrom<u32> for Percent {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, String> {
        if percent <= 100 { Ok(Self(percent)) } else { Err(format!("{percent} is more than 100")) }
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        match status {
            301 | 302 | 303 | 307 | 308 => Ok(Self(status)),
            _ => Err(format!("{status} is not one of 301, 302, 303, 307, 308")),
        }
    }
}

impl TryFrom<u32> for MaxAge {
    type Error = &'static str;

    fn try_from(seconds: u32) -> Result<Self, &'static str> {
        if seconds > 0 { Ok(Self(seconds)) } else { Err("want at least 1 second") }
    }
}

impl Filter {
    /// As manifests call it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RequestHeaders(_) => "RequestHeaderModifier",
            Self::ResponseHeaders(_) => "ResponseHeaderModifier",
            Self::Mirror(_) => "RequestMirror",
            Self::Redirect(_) => "RequestRedirect",
            Self::Rewrite(_) => "URLRewrite",
            Self::Cors(_) => "CORS",
            Self::Extension(_) => "ExtensionRef",
            Self::ExternalAuth => "ExternalAuth",
        }
    }

    /// Whether a list may have several of it.
    const fn may_repeat(&self) -> bool {
        matches!(self, Self::Mirror(_) | Self::Extension(_))
    }

    /// How it changes the path.
    #[must_use]
    pub fn path(&self) -> Option<&PathModifier> {
        match self {
            Self::Redirect(redirect) => redirect.path.as_ref(),
            Self::Rewrite(rewrite) => rewrite.path.as_ref(),
            Self::RequestHeaders(_)
            | Self::ResponseHeaders(_)
            | Self::Mirror(_)
            | Self::Cors(_)
            | Self::Extension(_)
            | Self::ExternalAuth => None,
        }
    }

    fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        match self {
            Self::RequestHeaders(modifier) | Self::ResponseHeaders(modifier) => {
                modifier.check(meta, problems);
            }
            Self::Mirror(mirror) => mirror.check(meta, problems),
            Self::Cors(cors) => cors.check(meta, problems),
            Self::Redirect(_) | Self::Rewrite(_) | Self::Extension(_) | Self::ExternalAuth => {}
        }
    }
}

/// The filters of one rule, or of one backend.
pub(super) fn check<'a>(
    filters: impl IntoIterator<Item = (&'a Filter, Mark)>,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) {
    let mut names = Vec::new();
    for (filter, at) in filters {
        if names.contains(&filter.name()) && !filter.may_repeat() {
            let message = format!("there is a {} already", filter.name());
            problems.push(meta.at(at).error(message));
        }
        let excludes_redirect = matches!(filter, Filter::Rewrite(_));
        let excludes_rewrite = matches!(filter, Filter::Redirect(_));
        if (excludes_redirect && names.contains(&"RequestRedirect"))
            || (excludes_rewrite && names.contains(&"URLRewrite"))
        {
            let message = "only one of RequestRedirect and URLRewrite can be there";
            problems.push(meta.at(at).error(message));
        }
        names.push(filter.name());
        filter.check(meta, problems);
    }
}

impl Mirror {
    /// Which part of the requests, as numerator and denominator; `None`: all.
    #[must_use]
    pub fn part(&self) -> Option<(u32, u32)> {
        let percent = self.percent.map(|percent| (percent.0, 100));
        percent.or(self.fraction.as_ref().map(|of| of.value.parts()))
    }

    fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        self.backend_ref.value.check(self.backend_ref.at, meta, problems);
        let Some(fraction) = &self.fraction else { return };
        let (numerator, denominator) = fraction.value.parts();
        let here = meta.at(fraction.at);
        if self.percent.is_some() {
            problems.push(here.error("only one of percent and fraction can be set"));
        }
        if denominator == 0 {
            problems.push(here.error("denominator is at least 1"));
        } else if numerator > denominator {
            problems.push(here.error(format!("{numerator}/{denominator} is more than all")));
        }
    }
}

impl Fraction {
    fn parts(self) -> (u32, u32) {
        (self.numerator, self.denominator.unwrap_or(100))
    }
}

impl Redirect {
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port.map(Port::get)
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.status_code.map_or(302, |status| status.0)
    }
}

impl Cors {
    /// In seconds.
    #[must_use]
    pub fn max_age(&self) -> u32 {
        self.max_age.map_or(5, |seconds| seconds.0)
    }

    fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        let Self { allow_origins, allow_methods, allow_headers, expose_headers, .. } = self;
        as_set(allow_origins.iter(), meta, problems);
        as_set(allow_methods.iter(), meta, problems);
        as_set(allow_headers.iter(), meta, problems);
        as_set(expose_headers.iter(), meta, problems);
        let any = [
            any(allow_origins, |origin| &**origin == "*"),
            any(allow_methods, |method| *method == CorsMethod::Any),
            any(allow_headers, |header| &**header == "*"),
        ];
        for at in any.into_iter().flatten() {
            problems.push(meta.at(at).error("`*` stands alone: it is all there is"));
        }
    }
}

/// Where `*` is beside others.
fn any<T>(items: &[Spanned<T>], is_any: impl Fn(&T) -> bool) -> Option<Mark> {
    let found = items.iter().find(|item| is_any(&item.value))?;
    (items.len() > 1).then_some(found.at)
}

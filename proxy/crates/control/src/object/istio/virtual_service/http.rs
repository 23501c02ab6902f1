//! A route of requests.
use super::{
    matches::HttpMatch,
    policy::{CorsPolicy, Fault, Retries},
};
use crate::object::{
    fault::advice,
    istio::{
        destination::Destination,
        domain::HostName,
        headers::HeaderRules,
        percent::{Percent, Percentage},
        text_match::Regex,
        time::Time,
    },
    port::Port,
    spanned::Spanned,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// What is done with the requests that one of its matches is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRoute {
    pub name: Option<String>,
    /// Any of them; empty: every request.
    #[serde(rename = "match")]
    pub matches: Vec<Spanned<HttpMatch>>,
    pub route: Vec<Spanned<HttpShare>>,
    pub redirect: Option<Spanned<Redirect>>,
    pub direct_response: Option<Spanned<DirectResponse>>,
    pub delegate: Option<Spanned<Delegate>>,
    pub rewrite: Option<Spanned<Rewrite>>,
    pub timeout: Option<Spanned<Time>>,
    pub retries: Option<Spanned<Retries>>,
    pub fault: Option<Spanned<Fault>>,
    pub mirror: Option<Spanned<Destination>>,
    pub mirrors: Vec<Spanned<Mirror>>,
    pub mirror_percentage: Option<Spanned<Percentage>>,
    mirror_percent: Option<Spanned<WholePercent>>,
    #[serde(rename = "mirror_percent")]
    mirror_percent_of_old: Option<Spanned<WholePercent>>,
    pub cors_policy: Option<Spanned<CorsPolicy>>,
    pub headers: Option<HeaderRules>,
}

/// A destination, and its part of all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HttpShare {
    pub destination: Destination,
    pub weight: Option<u32>,
    pub headers: Option<HeaderRules>,
}

/// Somebody who gets copies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Mirror {
    pub destination: Destination,
    pub percentage: Option<Percentage>,
}

/// Who else says what is done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Delegate {
    pub name: String,
    /// `None`: that of the object.
    pub namespace: Option<String>,
}

/// What is asked for instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rewrite {
    pub uri: Option<String>,
    pub authority: Option<String>,
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// What in a path is replaced by what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RegexRewrite {
    #[serde(rename = "match")]
    pub pattern: Regex,
    #[serde(default)]
    pub rewrite: String,
}

/// Where the client is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirect {
    pub uri: Option<String>,
    pub prefix_rewrite: Option<String>,
    pub authority: Option<HostWithPort>,
    pub scheme: Option<Scheme>,
    pub port: Option<Port>,
    pub derive_port: Option<DerivePort>,
    pub redirect_code: Option<RedirectCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

/// Which port the client is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DerivePort {
    FromProtocolDefault,
    FromRequestPort,
}

/// A status that sends somewhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct RedirectCode(pub u16);

/// A host, and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostWithPort(pub String);

/// An answer without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DirectResponse {
    pub status: Status,
    #[serde(default)]
    pub body: Body,
}

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawBody")]
pub enum Body {
    #[default]
    Empty,
    Text(String),
    Bytes(Vec<u8>),
}

/// The status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Status(pub u16);

#[derive(Deserialize)]
struct RawBody {
    string: Option<String>,
    bytes: Option<String>,
}

/// A percentage without fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
struct WholePercent(Percent);

impl HttpRoute {
    /// Who gets copies, and how many of all.
    pub fn mirrored(&self) -> impl Iterator<Item = (&Destination, Percent)> {
        let old = self.mirror_percent.as_ref().or(self.mirror_percent_of_old.as_ref());
        let share = self.mirror_percentage.as_ref().map(|share| share.value.value);
        let share = share.or(old.map(|old| old.value.0)).unwrap_or(Percent::ALL);
        let one = self.mirror.iter().map(move |mirror| (&mirror.value, share));
        one.chain(self.mirrors.iter().map(
            |Spanned { value: Mirror { destination, percentage }, .. }| {
                (destination, percentage.map_or(Percent::ALL, |share| share.value))
            },
        ))
    }
}

impl TryFrom<u32> for WholePercent {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, String> {
        Percent::whole(percent).map(Self)
    }
}

impl TryFrom<u32> for RedirectCode {
    type Error = String;

    fn try_from(code: u32) -> Result<Self, String> {
        match code {
            301 => Ok(Self(301)),
            302 => Ok(Self(302)),
            303 => Ok(Self(303)),
            307 => Ok(Self(307)),
            308 => Ok(Self(308)),
            other => {
                let message = format!("{other} is no status that sends somewhere else");
                Err(advice(message, "use 301, 302, 303, 307 or 308"))
            }
        }
    }
}

impl TryFrom<u32> for Status {
    type Error = String;

    fn try_from(status: u32) -> Result<Self, String> {
        let status = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
        status.map(Self).ok_or_else(|| "want a status from 200 to 599".into())
    }
}

impl TryFrom<String> for HostWithPort {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let (host, port) = match written.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (&*written, None),
        };
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let is_empty = written.is_empty();
        if is_empty || (is_port && HostName::try_from(host.to_owned()).is_ok()) {
            return Ok(Self(written));
        }
        let message = format!("`{written}` is no host");
        Err(advice(message, "write the host, and perhaps a port; the rest is in uri and scheme"))
    }
}

impl TryFrom<RawBody> for Body {
    type Error = String;

    fn try_from(raw: RawBody) -> Result<Self, String> {
        match raw {
            RawBody { string: None, bytes: None } => Ok(Self::Empty),
            RawBody { string: Some(text), bytes: None } => Ok(Self::Text(text)),
            RawBody { string: None, bytes: Some(written) } => STANDARD
                .decode(written)
                .ok()
                .map(Self::Bytes)
                .ok_or_else(|| "`bytes` is not base64".into()),
            RawBody { string: Some(_), bytes: Some(_) } => {
                Err(advice("only one of string and bytes can be set", "keep one of them"))
            }
        }
    }
}

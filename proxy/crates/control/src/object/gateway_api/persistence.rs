//! Requests of one session go to one endpoint; of the experimental channel.
use super::duration::Duration;
use crate::{
    object::{meta::Meta, spanned::Spanned},
    problem::Problem,
};
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionPersistence {
    pub session_name: Option<SessionName>,
    pub absolute_timeout: Option<Duration>,
    pub idle_timeout: Option<Duration>,
    #[serde(rename = "type", default)]
    pub by: By,
    pub cookie_config: Option<Spanned<Cookie>>,
}

/// The name of a cookie or a header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SessionName(pub String);

/// What says which session a request is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum By {
    #[default]
    Cookie,
    Header,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    pub lifetime_type: Option<Lifetime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Lifetime {
    Permanent,
    /// As long as the browser is open.
    Session,
}

impl TryFrom<String> for SessionName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        if name.chars().count() <= 128 { Ok(Self(name)) } else { Err("at most 128 characters fit") }
    }
}

impl SessionPersistence {
    pub(super) fn check(&self, meta: &Meta, problems: &mut Vec<Problem>) {
        let Some(Spanned { value: cookie, at }) = &self.cookie_config else { return };
        if self.by == By::Header {
            problems.push(meta.at(*at).error("cookieConfig is for type Cookie only"));
        }
        if cookie.lifetime_type == Some(Lifetime::Permanent) && self.absolute_timeout.is_none() {
            problems.push(meta.at(*at).error("lifetimeType Permanent needs absoluteTimeout"));
        }
    }
}

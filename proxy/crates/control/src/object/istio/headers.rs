//! Fields of requests and answers, and what is done to them.
use crate::object::fault::advice;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is done to a request and to its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HeaderRules {
    pub request: HeaderOperations,
    pub response: HeaderOperations,
}

/// What is done to one message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HeaderOperations {
    pub set: BTreeMap<ChangedName, String>,
    pub add: BTreeMap<ChangedName, String>,
    pub remove: Vec<ChangedName>,
}

/// A name that a request is asked for, in lower case; also one of Istio's `@request.auth.claims`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct AskedName(String);

/// A name of a field that is changed, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ChangedName(String);

/// A name of a field of HTTP, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct FieldName(String);

impl HeaderOperations {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

impl AskedName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of a token that was proven, not of the request.
    #[must_use]
    pub fn is_claim(&self) -> bool {
        self.0.starts_with("@request.auth.claims")
    }
}

impl ChangedName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it names is the host that is asked.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.0 == "host" || self.0 == ":authority"
    }
}

impl FieldName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AskedName {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        let bare = written.strip_prefix([':', '@']).unwrap_or(&written);
        // The name of a claim may have anything in brackets.
        let bare = if written.starts_with('@') { "claim" } else { bare };
        is_token(bare)
            .then(|| Self(lowered(&written)))
            .ok_or_else(|| format!("`{written}` is no name of a header"))
    }
}

impl TryFrom<String> for ChangedName {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if written.starts_with(':') && !written.eq_ignore_ascii_case(":authority") {
            let message = format!("`{written}` is no header that can be changed so");
            return Err(advice(message, "use rewrite for the path and the host"));
        }
        let bare = written.strip_prefix(':').unwrap_or(&written);
        is_token(bare)
            .then(|| Self(lowered(&written)))
            .ok_or_else(|| format!("`{written}` is no name of a header"))
    }
}

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        if is_token(&written) {
            return Ok(Self(written));
        }
        Err(format!("`{written}` is no name of a header"))
    }
}

/// A claim's name means something else in another case.
fn lowered(name: &str) -> String {
    if name.starts_with('@') { name.to_owned() } else { name.to_ascii_lowercase() }
}

fn is_token(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(fine)
}

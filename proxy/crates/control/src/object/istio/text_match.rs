//! Conditions on texts of a request.
use crate::object::fault::advice;
use serde::Deserialize;

/// What a text has to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "RawMatch")]
pub enum TextMatch {
    /// It only has to be there.
    #[default]
    Any,
    Exact(String),
    Prefix(String),
    /// All of it, in RE2's language.
    Regex(Regex),
}

/// A regular expression that can be understood.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Regex(String);

#[derive(Deserialize)]
struct RawMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<Regex>,
}

impl Regex {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Regex {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        // A pattern must not take more memory than the object it is in deserves.
        let read = regex::RegexBuilder::new(&written).size_limit(1 << 20).build();
        match read {
            Ok(_) => Ok(Self(written)),
            Err(error) => {
                // The last line of several says what it is.
                let told = error.to_string();
                let last = told.lines().last().unwrap_or_default().trim();
                let last = last.strip_prefix("error: ").unwrap_or(last);
                Err(format!("`{written}` is no regular expression (RE2): {last}"))
            }
        }
    }
}

impl TryFrom<RawMatch> for TextMatch {
    type Error = String;

    fn try_from(raw: RawMatch) -> Result<Self, String> {
        match raw {
            RawMatch { exact: None, prefix: None, regex: None } => Ok(Self::Any),
            RawMatch { exact: Some(text), prefix: None, regex: None } => Ok(Self::Exact(text)),
            RawMatch { exact: None, prefix: Some(text), regex: None } => Ok(Self::Prefix(text)),
            RawMatch { exact: None, prefix: None, regex: Some(regex) } => Ok(Self::Regex(regex)),
            RawMatch { .. } => {
                Err(advice("only one of exact, prefix and regex can be set", "keep one of them"))
            }
        }
    }
}

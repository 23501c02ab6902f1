//! What goes wrong, as the specification wants it said: a code for programs, words for whoever
//! reads `kubectl describe pod`.
use serde::Serialize;
use std::fmt;

/// Codes of the CNI specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    IncompatibleVersion,
    UnsupportedField,
    InvalidEnvironment,
    Io,
    Decoding,
    InvalidConfig,
    /// The runtime should call again.
    TryAgainLater,
    /// `STATUS`: pods cannot be added.
    NotAvailable,
}

/// Why a call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// Why, and what to do; may be empty.
    pub details: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    cni_version: &'a str,
    code: u32,
    msg: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    details: &'a str,
}

impl Code {
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnsupportedField => 2,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decoding => 6,
            Self::InvalidConfig => 7,
            Self::TryAgainLater => 11,
            Self::NotAvailable => 50,
        }
    }
}

impl Failure {
    pub fn new(code: Code, message: impl fmt::Display, details: impl Into<String>) -> Self {
        Self { code, message: format!("culvert: {message}"), details: details.into() }
    }

    /// As it is written to standard output.
    #[must_use]
    pub fn json(&self, cni_version: &str) -> String {
        let Self { code, message, details } = self;
        let said = Said { cni_version, code: code.number(), msg: message, details };
        // A plain struct of text always serializes.
        serde_json::to_string(&said).unwrap_or_default()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code: _, message, details } = self;
        f.write_str(message)?;
        if details.is_empty() { Ok(()) } else { write!(f, "; {details}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_as_the_specification_wants_it() {
        let failure = Failure::new(Code::TryAgainLater, "the node is away", "start it");
        assert_eq!(
            failure.json("1.1.0"),
            r#"{"cniVersion":"1.1.0","code":11,"msg":"culvert: the node is away","details":"start it"}"#
        );
        assert_eq!(failure.to_string(), "culvert: the node is away; start it");
    }
}

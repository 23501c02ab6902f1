//! Why the API server did not do what it was asked for.
use crate::kind::Kind;
use serde::Deserialize;
use std::fmt;

/// What went wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody answered.
    Unreachable(String),
    /// It answered with an error.
    Answer { code: u16, message: String },
    /// It answered with something that makes no sense.
    Garbled(String),
}

/// The error of the API server, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    code: u16,
    message: String,
}

impl Fault {
    /// What a body with an error status says.
    pub(crate) fn of_answer(code: u16, body: &[u8]) -> Self {
        let said = serde_json::from_slice::<Status>(body).ok().map(|status| status.message);
        let message = said.filter(|message| !message.is_empty()).unwrap_or_else(|| {
            let text = String::from_utf8_lossy(body);
            text.lines().next().unwrap_or_default().chars().take(200).collect()
        });
        Self::Answer { code, message }
    }

    /// The object was asked for as it was too long ago.
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// It knows no such resource.
    pub fn is_absent(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whoever this process is may not do it.
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// What was to be made is there already, or was changed by somebody else meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Answer { code, .. } => Some(*code),
            Self::Unreachable(_) | Self::Garbled(_) => None,
        }
    }

    /// What is to be said of it where `kind` was to be followed.
    pub fn in_words(&self, kind: &Kind) -> String {
        let Kind { group, plural, .. } = kind;
        match self.code() {
            Some(403) => format!(
                "{self}; its ClusterRole needs apiGroups: [\"{group}\"], resources: [{plural}], \
                 verbs: [list, watch]"
            ),
            Some(401) => format!("{self}; its token or certificate is no good"),
            Some(404) => format!("{self}; is this a Kubernetes API server?"),
            Some(_) | None => self.to_string(),
        }
    }
}

impl From<Status> for Fault {
    fn from(Status { code, message }: Status) -> Self {
        Self::Answer { code, message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the Kubernetes API cannot be reached: {why}"),
            Self::Answer { code, message } => {
                write!(f, "the Kubernetes API answers {code}: {message}")
            }
            Self::Garbled(why) => write!(f, "the Kubernetes API makes no sense: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_the_server_said() {
        let body = br#"{"kind":"Status","code":403,"message":"pods is forbidden: User \"x\""}"#;
        let fault = Fault::of_answer(403, body);
        assert!(fault.is_forbidden());
        assert_eq!(
            fault.to_string(),
            "the Kubernetes API answers 403: pods is forbidden: User \"x\""
        );
        let proxy = Fault::of_answer(502, b"<html>bad\ngateway");
        assert_eq!(proxy.to_string(), "the Kubernetes API answers 502: <html>bad");
    }

    #[test]
    fn who_may_not_is_told_what_is_missing() {
        let kind = Kind::custom("security.istio.io", &["v1"], "Policy", "policies", &[]);
        let words = Fault::of_answer(403, b"no").in_words(&kind);
        assert!(
            words.ends_with(
                "its ClusterRole needs apiGroups: [\"security.istio.io\"], resources: [policies], \
                 verbs: [list, watch]"
            ),
            "{words}"
        );
    }
}

//! Where a person wrote a policy.
use std::{fmt, sync::Arc};

/// The place of a policy, and of its rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// `file:line`
    pub at: Arc<str>,
    /// The line of each of its rules, in the same file; none where that is not known.
    pub rules: Arc<[u32]>,
}

impl Origin {
    /// Where a rule is, as `file:line`; where the policy is, when that is not known.
    #[must_use]
    pub fn of_rule(&self, index: usize) -> String {
        match (self.rules.get(index), self.at.rsplit_once(':')) {
            (Some(line), Some((file, _))) => format!("{file}:{line}"),
            (None, _) | (_, None) => (*self.at).to_owned(),
        }
    }
}

/// Of a policy of which the lines of rules are not known.
impl<T: Into<Arc<str>>> From<T> for Origin {
    fn from(at: T) -> Self {
        Self { at: at.into(), rules: Arc::default() }
    }
}

/// Where the policy is.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_in_its_policys_file() {
        let origin = Origin { at: "C:\\mesh.yaml:12".into(), rules: [15, 20].into() };
        assert_eq!(origin.of_rule(1), "C:\\mesh.yaml:20");
        assert_eq!(origin.of_rule(2), "C:\\mesh.yaml:12");
        assert_eq!(Origin::from("mesh.yaml:1").of_rule(0), "mesh.yaml:1");
    }
}

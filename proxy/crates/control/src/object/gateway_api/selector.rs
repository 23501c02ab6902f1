//! Labels that choose namespaces.
use serde::Deserialize;
use std::collections::BTreeMap;

/// All of it must be met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    pub match_labels: BTreeMap<String, String>,
    pub match_expressions: Vec<Requirement>,
}

/// What one label must be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Whether it chooses what has these labels; `label` says what one is.
    pub fn chooses<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let is = |(key, value): (&String, &String)| label(key) == Some(value);
        self.match_labels.iter().all(is)
            && self.match_expressions.iter().all(|requirement| {
                let Requirement { key, operator, values } = requirement;
                let found = label(key);
                let is_one = found.is_some_and(|found| values.iter().any(|value| value == found));
                match operator {
                    Operator::In => is_one,
                    Operator::NotIn => !is_one,
                    Operator::Exists => found.is_some(),
                    Operator::DoesNotExist => found.is_none(),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_demanded() {
        let requirement = |key: &str, operator, values: &[&str]| Requirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(ToString::to_string).collect(),
        };
        let labels = BTreeMap::from([("env", "prod"), ("team", "a")]);
        let label = |key: &str| labels.get(key).copied();
        let chooses = |requirement| {
            let match_labels = [("team".to_owned(), "a".to_owned())].into();
            let selector = LabelSelector { match_labels, match_expressions: vec![requirement] };
            selector.chooses(label)
        };
        assert!(chooses(requirement("env", Operator::In, &["dev", "prod"])));
        assert!(!chooses(requirement("env", Operator::NotIn, &["prod"])));
        assert!(chooses(requirement("zone", Operator::NotIn, &["a"])));
        assert!(chooses(requirement("env", Operator::Exists, &[])));
        assert!(!chooses(requirement("env", Operator::DoesNotExist, &[])));
        assert!(LabelSelector::default().chooses(label));
    }
}

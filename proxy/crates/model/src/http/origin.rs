//! Where a person wrote what a resource says: it travels as metadata.
use super::value::{Metadata, Value};
use std::sync::Arc;

/// The key of the metadata.
pub const KEY: &str = "culvert.dev/origin";

/// The place of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `Kind/namespace/name`
    pub object: Arc<str>,
    /// Which of its rules, counted from 0.
    pub rule: Option<u32>,
    /// `file:line`
    pub at: Arc<str>,
}

/// The one rule that a resource is made of.
#[must_use]
pub fn of(metadata: &Metadata) -> Option<Origin> {
    let text = |field: &str| metadata.find(KEY, [field]).and_then(Value::as_str).map(Arc::from);
    let rule = metadata.find(KEY, ["rule"]).and_then(number);
    Some(Origin { object: text("object")?, rule, at: text("source")? })
}

/// Of one of several policies' rules, by its name: `file:line`.
#[must_use]
pub fn of_policy<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    let said = |name: &str| metadata.find(KEY, [name]).and_then(Value::as_str);
    // Parts of one rule, and rules of the same name, are told apart at their ends.
    let bare = name.trim_end_matches('+');
    let whole = || bare.rsplit_once('-').filter(|(whole, _)| whole.ends_with(']'));
    said(name).or_else(|| said(bare)).or_else(|| said(whole()?.0))
}

/// A rule's policy and which of its rules it is, by the name `ns[shop]-policy[web]-rule[0]`:
/// `shop/web`.
#[must_use]
pub fn policy(name: &str) -> Option<(String, usize)> {
    let (namespace, rest) = name.strip_prefix("ns[")?.split_once("]-policy[")?;
    let (policy, rest) = rest.split_once("]-rule[")?;
    let (index, _part) = rest.split_once(']')?;
    Some((format!("{namespace}/{policy}"), index.parse().ok()?))
}

/// A number that can be an index.
fn number(value: &Value) -> Option<u32> {
    let Value::Number(number) = value else { return None };
    // Written without a point and not too large.
    format!("{number}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn metadata<const N: usize>(fields: [(&str, Value); N]) -> Metadata {
        let fields = fields.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Metadata::new(BTreeMap::from([(KEY.into(), Value::Struct(Arc::new(fields)))]))
    }

    #[test]
    fn a_rule_knows_its_object_and_its_line() {
        let text = |text: &str| Value::String(text.into());
        let said = metadata([
            ("object", text("VirtualService/shop/web")),
            ("rule", Value::Number(1.0)),
            ("source", text("web.yaml:7")),
        ]);
        let wanted = Origin {
            object: "VirtualService/shop/web".into(),
            rule: Some(1),
            at: "web.yaml:7".into(),
        };
        assert_eq!(of(&said), Some(wanted));
        assert_eq!(of(&Metadata::default()), None);
    }

    #[test]
    fn parts_of_a_policys_rule_are_where_the_rule_is() {
        let rule = "ns[shop]-policy[web]-rule[0]";
        let said = metadata([(rule, Value::String("p.yaml:3".into()))]);
        for name in [rule.to_owned(), format!("{rule}-2"), format!("{rule}-2+"), format!("{rule}+")]
        {
            assert_eq!(of_policy(&said, &name), Some("p.yaml:3"), "{name}");
            assert_eq!(policy(&name), Some(("shop/web".to_owned(), 0)), "{name}");
        }
        assert_eq!(of_policy(&said, "ns[shop]-policy[web]-rule[1]"), None);
        assert_eq!(policy("callers"), None);
    }
}

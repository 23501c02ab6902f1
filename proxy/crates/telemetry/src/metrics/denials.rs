//! What policies denied.
use crate::denial::Denied;
use culvert_model::name::ObjectName;
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, LabelSetEncoder},
    metrics::{MetricType, counter::ConstCounter},
};
use std::{collections::BTreeMap, fmt};

/// How many series there may be: policies come and go, and a process lives long.
const MAX: usize = 2000;

/// Denials by policy and rule.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<BTreeMap<Labels, u64>>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    /// That of the destination when no policy is named.
    namespace: String,
    policy: String,
    rule: String,
    action: &'static str,
    dry_run: bool,
}

impl Denials {
    pub(super) fn count(&self, denied: &Denied) {
        let mut counts = self.0.lock();
        let labels = Labels::of(denied);
        if MAX <= counts.len() && !counts.contains_key(&labels) {
            *counts.entry(labels.rest()).or_default() += 1;
        } else {
            *counts.entry(labels).or_default() += 1;
        }
    }
}

impl Labels {
    fn of(denied: &Denied) -> Self {
        let Denied { namespace, policy, rule, action, condition: _, dry_run } = denied;
        let (namespace, policy) = match policy {
            Some(ObjectName { namespace, name }) => (namespace, &**name),
            None => (namespace, ""),
        };
        Self {
            namespace: namespace.to_string(),
            policy: policy.to_owned(),
            rule: rule.map(|rule| rule.to_string()).unwrap_or_default(),
            action,
            dry_run: *dry_run,
        }
    }

    /// What those share that have no series of their own.
    fn rest(self) -> Self {
        let other = || "other".to_owned();
        Self { namespace: other(), policy: other(), rule: String::new(), ..self }
    }
}

impl Collector for Denials {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.lock().clone();
        let help = "Connections that policy denied, or would have if its dry run were none.";
        let mut metric =
            encoder.encode_descriptor("culvert_policy_denials", help, None, MetricType::Counter)?;
        for (labels, count) in counts {
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { namespace, policy, rule, action, dry_run } = self;
        [
            ("policy_namespace", &**namespace),
            ("policy", policy),
            ("rule", rule),
            ("action", action),
            ("dry_run", if *dry_run { "true" } else { "false" }),
        ]
        .encode(encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(policy: &str) -> Denied {
        Denied {
            namespace: "shop".into(),
            policy: Some(ObjectName::new("shop", policy)),
            rule: Some(0),
            action: "DENY",
            condition: None,
            dry_run: false,
        }
    }

    #[test]
    fn policies_that_come_and_go_do_not_fill_the_memory() {
        let denials = Denials::default();
        (0..MAX + 10).for_each(|at| denials.count(&denied(&at.to_string())));
        denials.count(&denied("0"));
        let counts = denials.0.lock();
        assert_eq!(counts.len(), MAX + 1);
        assert_eq!(counts[&Labels::of(&denied("0"))], 2);
        assert_eq!(counts[&Labels::of(&denied("0")).rest()], 10);
    }
}

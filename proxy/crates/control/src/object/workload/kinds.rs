//! The kinds, and the fields that each has.
#![expect(dead_code, reason = "fields that exist and are not used are named, to refuse all others")]
use super::{Pods, RawTemplate, Workload};
use crate::{
    object::{gateway_api::selector::LabelSelector, node::Node, spanned::Spanned},
    problem::{Problem, Source},
};
use serde::{Deserialize, de::IgnoredAny as Ignored};
use std::sync::Arc;

/// A kind with fields that nobody here reads, beside those that all have.
macro_rules! kinds {
    ($($(#[$doc:meta])* $alias:ident $kind:ident $spec:ident
        ($selector:ident $($optional:ident)?) { $($field:ident)* })*) => {$(
        $(#[$doc])*
        pub type $alias = Workload<$kind>;

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind {}

        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct $spec {
            $selector: kinds!(@ $($optional)?),
            template: RawTemplate,
            $($field: Option<Ignored>,)*
        }

        impl $alias {
            pub(in crate::object) fn read(
                node: &Node,
                source: &Arc<Source>,
            ) -> Result<Self, Vec<Problem>> {
                Self::of::<$spec>(node, source)
            }
        }

        impl Pods for $spec {
            fn parts(self) -> (Option<Spanned<LabelSelector>>, RawTemplate) {
                (self.$selector.into(), self.template)
            }
        }
    )*};
    (@) => { Spanned<LabelSelector> };
    (@ optional) => { Option<Spanned<LabelSelector>> };
}

kinds! {
    Deployment OfDeployment DeploymentSpec (selector) {
        min_ready_seconds paused progress_deadline_seconds replicas revision_history_limit strategy
    }
    ReplicaSet OfReplicaSet ReplicaSetSpec (selector) { min_ready_seconds replicas }
    StatefulSet OfStatefulSet StatefulSetSpec (selector) {
        min_ready_seconds ordinals persistent_volume_claim_retention_policy pod_management_policy
        replicas revision_history_limit service_name update_strategy volume_claim_templates
    }
    DaemonSet OfDaemonSet DaemonSetSpec (selector) {
        min_ready_seconds revision_history_limit update_strategy
    }
    /// Its selector is the API server's to write, as a rule.
    Job OfJob JobSpec (selector optional) {
        active_deadline_seconds backoff_limit backoff_limit_per_index completion_mode completions
        managed_by manual_selector max_failed_indexes parallelism pod_failure_policy
        pod_replacement_policy success_policy suspend ttl_seconds_after_finished
    }
}

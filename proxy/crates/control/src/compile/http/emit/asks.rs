//! Who must pass L7: what L4 is told, so that it never guesses.
use super::{
    clients, inbound,
    reader::Reader,
    scene::{Scene, ServiceFacts, WorkloadFacts},
};
use crate::compile::http::plan::ServicePlan;
use culvert_model::name::{ServiceName, WorkloadUid};
use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};

/// Whether connections of clients in `namespace` to a service must pass their engine.
#[must_use]
pub fn of_service(name: &ServiceName, namespace: &str, scene: &Scene) -> bool {
    let plan = scene.plan().services.get(name).map(AsRef::as_ref);
    scene.service(name).is_some_and(|facts| must(facts, plan, namespace))
}

/// The ports of a workload whose connections must pass the engine of its node.
#[must_use]
pub fn of_workload(uid: &WorkloadUid, scene: &Scene) -> BTreeSet<NonZeroU16> {
    let asked = |facts: &Arc<WorkloadFacts>| inbound::asked(facts, &Reader::new(scene));
    scene.workload(uid).map(asked).unwrap_or_default()
}

pub(super) fn must(facts: &ServiceFacts, plan: Option<&ServicePlan>, namespace: &str) -> bool {
    let is_asked = plan.is_some_and(|plan| clients::asks(plan, namespace));
    facts.service.is_visible_from(namespace) && (facts.labelled || is_asked)
}

#[cfg(test)]
mod tests {
    use super::{of_service, of_workload};
    use crate::compile::http::{
        emit::tests::{SHOP, host, scene, shown},
        plan::{Clients, Plan},
    };
    use culvert_model::name::{ObjectName, WorkloadUid};

    fn asked(pod: &str, text: &str, plan: Plan) -> Vec<u16> {
        let uid = WorkloadUid::pod("Kubernetes", &ObjectName::new("shop", pod));
        of_workload(&uid, &scene(text, plan)).into_iter().map(u16::from).collect()
    }

    #[test]
    fn policies_that_l4_cannot_answer_ask_for_their_pods_only() {
        assert_eq!(asked("reviews-v1", SHOP, shown::policies()), [8080]);
        assert!(asked("ratings", SHOP, shown::policies()).is_empty());
        assert!(asked("reviews-v1", SHOP, shown::shop_plan()).is_empty());
    }

    #[test]
    fn a_label_asks_where_http_may_be() {
        let label = "culvert.dev/mesh: enabled, culvert.dev/l7: enabled";
        let text = SHOP.replace("culvert.dev/mesh: enabled", label);
        assert_eq!(asked("ratings", &text, Plan::default()), [80]);
        let ratings = host("shop", "ratings");
        assert!(of_service(&ratings, "bank", &scene(&text, Plan::default())));
        assert!(!of_service(&ratings, "bank", &scene(SHOP, Plan::default())));
    }

    #[test]
    fn rules_ask_for_those_whom_they_are_for() {
        let reviews = host("shop", "reviews");
        let scene = scene(SHOP, shown::by_header(Clients::of("bank")));
        assert!(of_service(&reviews, "bank", &scene));
        assert!(!of_service(&reviews, "shop", &scene));
    }
}

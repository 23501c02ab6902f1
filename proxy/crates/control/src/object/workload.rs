//! What makes pods: `Deployment`, `StatefulSet`, `DaemonSet`, `ReplicaSet` and `Job`, as far as they
//! say what those pods are called and labelled, and who they run as.
use super::{
    gateway_api::selector::LabelSelector,
    meta::{Meta, Scope},
    node::Node,
    pod::PodSpec,
    spanned::Spanned,
    written::{Read, read},
};
use crate::problem::{Mark, Problem, Source};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny as Ignored};
use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

pub mod kinds;

/// Something that makes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload<K> {
    pub meta: Meta,
    pub template: Template,
    kind: PhantomData<K>,
}

/// What its pods are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub labels: BTreeMap<String, Spanned<String>>,
    pub annotations: BTreeMap<String, Spanned<String>>,
    pub service_account: String,
}

/// A `spec` that says what pods are made.
trait Pods {
    fn parts(self) -> (Option<Spanned<LabelSelector>>, RawTemplate);
}

/// `spec.template` as written.
#[derive(Deserialize)]
struct RawTemplate {
    #[serde(default)]
    metadata: RawTemplateMeta,
    spec: Option<PodSpec>,
}

/// `metadata` of pods that are made: their names are given later.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawTemplateMeta {
    labels: BTreeMap<String, Spanned<String>>,
    annotations: BTreeMap<String, Spanned<String>>,
    creation_timestamp: Option<Ignored>,
    finalizers: Option<Ignored>,
    generate_name: Option<Ignored>,
    name: Option<Ignored>,
    namespace: Option<Ignored>,
    owner_references: Option<Ignored>,
}

impl<K> Workload<K> {
    fn of<S: DeserializeOwned + Pods>(
        node: &Node,
        source: &Arc<Source>,
    ) -> Result<Self, Vec<Problem>> {
        let Read { meta, spec, mut problems, .. } = read::<S>(node, source, Scope::Namespaced)?;
        let (selector, template) = spec.parts();
        let labels = template.metadata.labels;
        if let Some(Spanned { value: selector, at }) = selector {
            check(&selector, &labels, at, &meta, &mut problems);
        }
        let template = Template {
            service_account: template.spec.unwrap_or_default().account(&meta, &mut problems),
            annotations: template.metadata.annotations,
            labels,
        };
        if problems.is_empty() {
            Ok(Self { meta, template, kind: PhantomData })
        } else {
            Err(problems)
        }
    }
}

/// As the API server demands it: or its pods were not its own.
fn check(
    selector: &LabelSelector,
    labels: &BTreeMap<String, Spanned<String>>,
    at: Mark,
    meta: &Meta,
    problems: &mut Vec<Problem>,
) {
    if !selector.chooses(|label| labels.get(label).map(|label| label.value.as_str())) {
        let problem = meta.at(at).error("the selector does not choose the labels of the template");
        problems.push(problem.with_fix("write the same labels in template.metadata.labels"));
    }
}

#[cfg(test)]
mod tests {
    use crate::object::Objects;

    #[test]
    fn what_makes_pods_says_what_they_are() {
        let text = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, version: v1}}
    spec: {serviceAccountName: shop, containers: [{name: web, image: web}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {backoffLimit: 1, template: {spec: {restartPolicy: Never}}}
";
        let (objects, problems) = Objects::parse("a.yaml", text.as_bytes());
        assert_eq!(problems, []);
        let template = &objects.deployments[0].template;
        assert_eq!(template.labels["version"].value, "v1");
        assert_eq!(template.service_account, "shop");
        assert_eq!(objects.jobs[0].template.service_account, "default");
    }

    #[test]
    fn a_selector_that_chooses_nothing_and_a_field_that_is_not_known_are_told() {
        let told = |spec: &str| -> Vec<String> {
            let text = format!(
                "{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: a}}, spec: {spec}}}"
            );
            let problems = Objects::parse("a.yaml", text.as_bytes()).1;
            problems.into_iter().map(|problem| problem.message).collect()
        };
        let template = "template: {metadata: {labels: {app: a}}}";
        assert_eq!(
            told(&format!("{{selector: {{matchLabels: {{app: b}}}}, {template}}}")),
            ["the selector does not choose the labels of the template"]
        );
        assert_eq!(
            told(&format!("{{replicas: 1, selector: {{matchLabels: {{app: a}}}}, {template}}}")),
            ["unknown field `replicas`"]
        );
    }
}

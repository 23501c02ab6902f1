//! A real istiod in the cluster.
use crate::{
    image::{beside, give},
    town::Town,
};
use culvert_cluster::Crds;

const IMAGE: &str = "localhost/istiod:test";

/// What the chart is installed with, so that nodes follow it.
pub(crate) const VALUES: [&str; 5] = [
    "control.enabled=false",
    "node.control=https://istiod.istio-system.svc:15012",
    "node.tokenAudience=istio-ca",
    "node.root.configMap=istio-ca-root-cert",
    "node.root.key=root-cert.pem",
];

/// Starts it, and waits until it is ready.
#[track_caller]
pub(crate) fn start(town: &Town) {
    let cluster = &town.cluster;
    cluster.install(Crds::Istio);
    cluster.install(Crds::Gateway);
    give(cluster, IMAGE, &[beside(cluster, "istiod")]);
    cluster.apply(&manifests());
    let words = ["--namespace", "istio-system", "rollout", "status", "deployment/istiod"];
    cluster.kubectl(&[&words[..], &["--timeout=120s"]].concat());
}

fn manifests() -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: istio-system}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: istiod, namespace: istio-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: istiod}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: istiod, namespace: istio-system}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: 'trustDomain: cluster.local', meshNetworks: 'networks: {{}}'}}
---
apiVersion: v1
kind: Service
metadata: {{name: istiod, namespace: istio-system}}
spec: {{selector: {{app: istiod}}, ports: [{{name: https-dns, port: 15012}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: istiod, namespace: istio-system}}
spec:
  selector: {{matchLabels: {{app: istiod}}}}
  template:
    metadata: {{labels: {{app: istiod}}}}
    spec:
      serviceAccountName: istiod
      terminationGracePeriodSeconds: 0
      containers:
      - name: discovery
        image: {IMAGE}
        command: [istiod, discovery, '--monitoringAddr=:15014', --domain, cluster.local]
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        - {{name: POD_NAMESPACE, value: istio-system}}
        - {{name: SERVICE_ACCOUNT, value: istiod}}
        - {{name: PILOT_CERT_PROVIDER, value: istiod}}
        - {{name: PILOT_ENABLE_AMBIENT, value: 'true'}}
        - {{name: CA_TRUSTED_NODE_ACCOUNTS, value: culvert-system/culvert-node}}
        - {{name: CLUSTER_ID, value: Kubernetes}}
        - {{name: ENABLE_LEADER_ELECTION, value: 'false'}}
        - {{name: INJECTION_WEBHOOK_CONFIG_NAME, value: ''}}
        - {{name: VALIDATION_WEBHOOK_CONFIG_NAME, value: ''}}
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1, failureThreshold: 100}}
"
    )
}

//! The API server, as tests of the control plane use it.
use culvert_cluster::{Cluster, Crds, eventually};

#[test]
fn accounts_have_tokens_and_rights_of_their_own() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("rights");
    namespace.kubectl(&["create", "serviceaccount", "reader"]);
    let review = |audience: &str| {
        let token = cluster.token(namespace.name(), "reader", &["--audience=culvert"]);
        let review = format!(
            "{{apiVersion: authentication.k8s.io/v1, kind: TokenReview, metadata: {{name: t}}, \
             spec: {{token: {token}, audiences: [{audience}]}}}}"
        );
        let words = ["create", "--output", "jsonpath={.status.user.username}", "--filename", "-"];
        String::from_utf8(cluster.kubectl_with(&review, &words).stdout).unwrap()
    };
    let user = format!("system:serviceaccount:{}:reader", namespace.name());
    assert_eq!(review("culvert"), user);
    assert_eq!(review("somebody-else"), "");

    let kubeconfig = cluster.kubeconfig_of(namespace.name(), "reader");
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let list = [&*kubeconfig, "--namespace", namespace.name(), "get", "configmaps"];
    assert!(!cluster.try_kubectl(&list).status.success());
    namespace.kubectl(&["create", "role", "read", "--verb=list", "--resource=configmaps"]);
    let account = format!("--serviceaccount={}:reader", namespace.name());
    namespace.kubectl(&["create", "rolebinding", "read", "--role=read", &account]);
    eventually("the role", || cluster.try_kubectl(&list).status.success().then_some(()));
    let codes: Vec<_> = cluster
        .requests_by(&user)
        .into_iter()
        .filter(|line| line["verb"] == "list")
        .map(|line| line["responseStatus"]["code"].clone())
        .collect();
    assert_eq!((codes.first().unwrap(), codes.last().unwrap()), (&403.into(), &200.into()));
}

#[test]
fn definitions_of_others_are_served() {
    let cluster = Cluster::shared();
    cluster.install(Crds::Istio);
    cluster.install(Crds::Gateway);
    let namespace = cluster.namespace("crds");
    namespace.apply(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\n\
         spec: {mtls: {mode: STRICT}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: waypoint}\n\
         spec:\n  gatewayClassName: test\n  listeners: [{name: mesh, port: 15008, protocol: HBONE}]\n",
    );
    let found = namespace.get(&["peerauthentication", "default"]);
    assert_eq!(found["spec"]["mtls"]["mode"], "STRICT");
    assert_eq!(namespace.get(&["gateway", "waypoint"])["spec"]["gatewayClassName"], "test");
}

#[test]
fn pods_are_bound_to_nodes_that_nobody_runs() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("bound");
    let node = namespace.name();
    cluster.apply(&format!("{{apiVersion: v1, kind: Node, metadata: {{name: {node}}}}}"));
    let room = r#"{"status":{"allocatable":{"cpu":"8","memory":"8Gi","pods":"110"},
        "conditions":[{"type":"Ready","status":"True","reason":"Test"}]}}"#;
    cluster.kubectl(&["patch", "node", node, "--subresource=status", "--patch", room]);
    namespace.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: web}}, spec: {{nodeSelector: \
         {{kubernetes.io/hostname: {node}}}, containers: [{{name: web, image: localhost/none}}]}}}}"
    ));
    cluster.kubectl(&["label", "node", node, &format!("kubernetes.io/hostname={node}")]);
    let bound = eventually("the scheduler", || {
        namespace.get(&["pod", "web"])["spec"]["nodeName"].as_str().map(str::to_owned)
    });
    assert_eq!(bound, node);
    cluster.kubectl(&["delete", "node", node]);
}

#[test]
fn an_api_server_comes_back_with_what_it_knew() {
    let cluster = Cluster::api("kit-restart");
    cluster.kubectl(&["create", "configmap", "kept"]);
    cluster.stop_part("kube-apiserver");
    assert!(!cluster.try_kubectl(&["get", "configmap", "kept"]).status.success());
    cluster.start_part("kube-apiserver");
    cluster.kubectl(&["get", "configmap", "kept"]);
    cluster.kill_part("kube-apiserver");
    cluster.start_part("kube-apiserver");
    cluster.kubectl(&["get", "configmap", "kept"]);

    cluster.pause_part("kube-apiserver");
    let frozen = cluster.try_kubectl(&["--request-timeout=1s", "get", "configmap", "kept"]);
    assert!(!frozen.status.success());
    cluster.resume_part("kube-apiserver");
    cluster.kubectl(&["get", "configmap", "kept"]);

    let kubeconfig = cluster.kubeconfig();
    assert!(kubeconfig.exists());
    drop(cluster);
    assert!(!kubeconfig.exists());
}

//! Whoever has a kubeconfig, and may forward a port to our pods, sees what nodes and control plane
//! do, and why a pod is not in the mesh.
use crate::{
    shop,
    town::{ENROL, NODES, SYSTEM, Town, pod_on},
};
use culvert_cluster::{Cluster, Namespace, eventually};
use serde_json::Value;
use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

/// The program under test, far away from any node.
pub(crate) struct Laptop {
    pub(crate) kubeconfig: PathBuf,
}

impl Laptop {
    pub(crate) fn does(&self, words: &[&str]) -> Output {
        let program = env::var_os("CULVERT_BIN").expect("`cargo xtask test` names the program");
        let mut culvert = Command::new(program);
        culvert.env_clear().args(words).arg("--kubeconfig").arg(&self.kubeconfig);
        culvert.output().expect("the program starts")
    }

    /// What it says, and the exit code that it must end with.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.does(words);
        let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert_eq!(status.code(), Some(code), "culvert {}: {out}{err}", words.join(" "));
        format!("{out}{err}")
    }

    #[track_caller]
    pub(crate) fn json(&self, code: i32, words: &[&str]) -> Value {
        serde_json::from_str(&self.says(code, &[words, &["-o", "json"]].concat())).unwrap()
    }
}

/// An account that may do what docs/operations.md says is needed, and nothing else.
#[track_caller]
fn reader(cluster: &Cluster, namespace: &Namespace<'_>, may_forward: bool) -> Laptop {
    let name = if may_forward { "reader" } else { "stranger" };
    namespace.kubectl(&["create", "serviceaccount", name]);
    let account = format!("--serviceaccount={}:{name}", namespace.name());
    let role = format!("{name}-{}", namespace.name());
    let mut bind = vec![(SYSTEM, "--resource=pods", "--verb=list")];
    if may_forward {
        bind.push((SYSTEM, "--resource=pods/portforward", "--verb=get,create"));
        bind.push((namespace.name(), "--resource=pods", "--verb=get"));
    }
    for (number, (place, resource, verb)) in bind.into_iter().enumerate() {
        let role = format!("{role}-{number}");
        cluster.kubectl(&["-n", place, "create", "role", &role, resource, verb]);
        let of = format!("--role={role}");
        cluster.kubectl(&["-n", place, "create", "rolebinding", &role, &of, &account]);
    }
    if may_forward {
        let of = ["--resource=nodes,namespaces", "--verb=get,list"];
        cluster.kubectl(&[&["create", "clusterrole", &role], &of[..]].concat());
        let of = format!("--clusterrole={role}");
        cluster.kubectl(&["create", "clusterrolebinding", &role, &of, &account]);
    }
    Laptop { kubeconfig: cluster.kubeconfig_of(namespace.name(), name) }
}

#[test]
fn a_kubeconfig_is_enough_to_see_what_nodes_do_and_why_a_pod_is_not_captured() {
    let town = Town::shared();
    let namespace = town.cluster.namespace("seen");
    namespace.label(ENROL);
    shop::open(&namespace);
    town.await_captured(&namespace);
    let laptop = reader(&town.cluster, &namespace, true);

    // The cluster at a glance.
    let seen = eventually("nodes and control planes that answer", || {
        let seen: Value =
            serde_json::from_slice(&laptop.does(&["status", "-o", "json"]).stdout).ok()?;
        let parts = ["nodes", "control"].map(|part| seen[part].as_array().cloned().unwrap());
        let answer = |part: &[Value]| part.iter().all(|post| post["status"]["ready"] == true);
        (parts.iter().all(|part| answer(part)) && parts[1].len() == 2).then_some(seen)
    });
    assert_eq!([0, 1].map(|node| seen["nodes"][node]["node"].as_str().unwrap()), NODES);
    let one = laptop.json(0, &["status", "--node", "node-1"]);
    assert_eq!((&one["node"], &one["mesh"]["connected"]), (&"node-1".into(), &true.into()));
    let control = laptop.json(0, &["status", "--control"]);
    assert_eq!(control["role"], "control");

    // One pod: by its node, which nobody has to name.
    let client = pod_on(&namespace, "client", "node-2");
    let named = format!("{}/{client}", namespace.name());
    let said = laptop.says(0, &["status", &named]);
    assert!(said.ends_with("\ncaptured\n") && !said.contains('✗'), "{said}");
    let same = laptop.says(0, &["status", &client, "-n", namespace.name()]);
    assert_eq!(same.lines().next(), said.lines().next());
    let front = format!("front.{}.svc.cluster.local:80", namespace.name());
    let why = laptop.says(0, &["why", &named, &front]);
    assert!(why.contains(&client), "{why}");
    let open = laptop.json(0, &["connections", "--pod", &named]);
    assert!(open.as_array().unwrap().iter().all(|one| one["pod"] == *named), "{open}");
    laptop.json(0, &["connections"]);
    laptop.says(0, &["certificates", "--node", "node-1"]);
    let choice = laptop.says(2, &["config"]);
    assert!(choice.ends_with("next: name a node with --node: node-1, node-2\n"), "{choice}");

    // What a label does is said before anybody has to guess.
    namespace.label("culvert.dev/mesh-");
    town.await_let_go(&namespace);
    let said = laptop.says(1, &["status", &named]);
    let way_out = format!("kubectl label namespace {} culvert.dev/mesh=enabled", namespace.name());
    assert!(said.contains(&way_out) && said.contains("not captured"), "{said}");

    // From afar nothing is changed; and whoever may not forward a port is told what is lacking.
    let said = laptop.says(2, &["log", "debug", "--node", "node-1"]);
    assert!(
        said.contains("not changed") && said.contains("kubectl -n culvert-system exec"),
        "{said}"
    );
    let stranger = reader(&town.cluster, &namespace, false);
    let said = stranger.says(3, &["status", "--control"]);
    let lacking = "apiGroups: [\"\"], resources: [pods/portforward], verbs: [get, create]";
    assert!(said.contains(lacking), "{said}");
}

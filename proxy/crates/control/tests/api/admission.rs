//! Policies judged before a real API server takes them.
use crate::{
    replica::Replica,
    shipped::{self, NAMESPACE, forbidden},
};
use culvert_cluster::{Cluster, Crds, Namespace, eventually};
use std::{fs, net::TcpListener, path::Path, process::Output};

/// The webhook as it is shipped, but for where it is; what it refuses is refused here, and so is
/// everything while it does not answer.
fn shipped_hook(port: u16) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/manifests/culvert.yaml");
    let all = fs::read_to_string(file).unwrap();
    let kind = "\nkind: ValidatingWebhookConfiguration\n";
    let hook = all.split("\n---\n").find(|text| text.contains(kind)).unwrap();
    let (before, after) = hook.split_once("      service:\n").unwrap();
    let (_, rules) = after.split_once("    rules:\n").unwrap();
    let url = format!("      url: https://127.0.0.1:{port}/admission\n");
    let hook = format!("{before}{url}    rules:\n{rules}");
    hook.replace("failurePolicy: Ignore", "failurePolicy: Fail")
}

fn policy(name: &str, rules: &str) -> String {
    format!(
        "{{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {{name: {name}, \
         finalizers: [example.org/hold]}}, spec: {{rules: [{rules}]}}}}"
    )
}

const GOOD: &str = "{from: [{source: {namespaces: [front]}}]}";
const SEVEN: &str = "{to: [{operation: {methods: [GET]}}]}";
const BAD: &str = "{from: [{source: {ipBlocks: [nonsense]}}]}";

fn apply(shop: &Namespace<'_>, cluster: &Cluster, text: &str, more: &[&str]) -> Output {
    let words = ["--namespace", shop.name(), "apply", "--filename", "-"];
    cluster.kubectl_with(text, &[&words, more].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::too_many_lines, reason = "one story, on one cluster")]
async fn an_api_server_asks_before_it_takes_a_policy() {
    let cluster = Cluster::api("control-admission");
    cluster.install(Crds::Istio);
    cluster.apply(&shipped::rules());
    let shop = cluster.namespace("shop");
    shop.apply(&policy("old", BAD));
    let replica =
        Replica::start_as(cluster.kubeconfig_of(NAMESPACE, "culvert-control"), "first").await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    replica.control.admit(listener, &replica.drain.worker()).unwrap();

    // Whom to believe there, the control plane writes, and puts back.
    cluster.apply(&shipped_hook(port));
    let bundle = || {
        let hook = cluster.get(&["validatingwebhookconfiguration", "culvert-control"]);
        hook["webhooks"][0]["clientConfig"]["caBundle"].as_str().map(str::to_owned)
    };
    let ours = eventually("roots in the webhook's configuration", bundle);
    let path = "/webhooks/0/clientConfig/caBundle";
    let patch = format!("[{{\"op\":\"remove\",\"path\":\"{path}\"}}]");
    let words = ["patch", "validatingwebhookconfiguration", "culvert-control", "--type=json", "-p"];
    cluster.kubectl(&[&words[..], &[&patch]].concat());
    assert_eq!(eventually("roots put back", bundle), ours);

    // What is wrong with a policy itself refuses it, dry or not.
    eventually("the webhook is asked", || {
        let refused = apply(&shop, &cluster, &policy("bad", BAD), &[]);
        said(&refused).contains("ipBlocks").then_some(())
    });
    for more in [&[][..], &["--dry-run=server"]] {
        let refused = apply(&shop, &cluster, &policy("bad", BAD), more);
        let text = said(&refused);
        assert!(!refused.status.success(), "{text}");
        assert!(text.contains("policies.culvert.dev"), "{text}");
        assert!(text.contains("spec.rules[0].from[0].source.ipBlocks[0]"), "{text}");
    }
    // What is odd is warned of.
    let taken = apply(&shop, &cluster, &policy("seven", SEVEN), &[]);
    assert!(taken.status.success(), "{}", said(&taken));
    assert!(
        said(&taken).contains("Warning: ") && said(&taken).contains("methods"),
        "{}",
        said(&taken)
    );
    let taken = apply(&shop, &cluster, &policy("good", GOOD), &[]);
    assert!(taken.status.success() && said(&taken).is_empty(), "{}", said(&taken));
    let strict = |name| {
        format!(
            "{{apiVersion: security.istio.io/v1, kind: PeerAuthentication, \
             metadata: {{name: {name}}}, spec: {{mtls: {{mode: STRICT}}}}}}"
        )
    };
    let taken = apply(&shop, &cluster, &strict("a"), &[]);
    assert!(taken.status.success() && said(&taken).is_empty(), "{}", said(&taken));
    let taken = eventually("the first is known", || {
        let taken = apply(&shop, &cluster, &strict("b"), &["--dry-run=server"]);
        said(&taken).contains("this one is not used").then_some(taken)
    });
    assert!(taken.status.success(), "{}", said(&taken));
    // Made worse: refused. It was so before: labelled, and taken away.
    let worse = apply(&shop, &cluster, &policy("good", BAD), &[]);
    assert!(!worse.status.success(), "{}", said(&worse));
    let words = ["--namespace", shop.name(), "label", "authorizationpolicy", "old", "team=shop"];
    let labelled = cluster.try_kubectl(&words);
    assert!(labelled.status.success(), "{}", said(&labelled));
    assert!(said(&labelled).contains("not in force as it is"), "{}", said(&labelled));
    shop.kubectl(&["delete", "authorizationpolicy", "--all", "--wait=false"]);
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    for name in ["old", "good", "seven"] {
        shop.kubectl(&["patch", "authorizationpolicy", name, "--type=merge", "-p", patch]);
    }
    eventually("they are gone", || {
        let left = shop.get(&["authorizationpolicy"]);
        left["items"].as_array().is_none_or(Vec::is_empty).then_some(())
    });
    assert_eq!(forbidden(&cluster), [""; 0]);

    // Whoever else comes is answered, and told what is wrong.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let config = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, users: [{{name: a, user: {{token: x}}}}], \
         clusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:{port}', \
         certificate-authority-data: {ours}}}}}], \
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]}}"
    );
    fs::write(&file, config).unwrap();
    let file = file.to_str().unwrap();
    for (path, text, expected) in [
        ("/admission", "{}", "this is no AdmissionReview"),
        ("/admission", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}", "want a AdmissionReview"),
        ("/elsewhere", "{}", "reviews are sent to /admission"),
    ] {
        let words = ["--kubeconfig", file, "create", "--raw", path, "--filename", "-"];
        let answer = cluster.kubectl_with(text, &words);
        assert!(said(&answer).contains(expected), "{}", said(&answer));
    }
    let long = folder.path().join("long");
    fs::write(&long, format!("{{\"x\":\"{}\"}}", "x".repeat(9 << 20))).unwrap();
    let words = ["--kubeconfig", file, "create", "--raw", "/admission", "--filename"];
    let answer = cluster.try_kubectl(&[&words[..], &[long.to_str().unwrap()]].concat());
    assert!(!answer.status.success());
}

//! The command line as scripts meet it: exit codes, and what is said where.
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const CULVERT: &str = env!("CARGO_BIN_EXE_culvert");

fn culvert(args: &[&str]) -> Output {
    Command::new(CULVERT)
        .args(args)
        .env_remove("CULVERT_CONFIG")
        .output()
        .expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The exit code, and the first and last line of standard error.
#[track_caller]
fn fails(args: &[&str], code: i32, first: &str, last: &str) {
    let output = culvert(args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(stdout(&output), "", "a failure says nothing on standard output");
    assert_eq!(said.lines().next(), Some(first), "{said}");
    assert_eq!(said.lines().last(), Some(last), "{said}");
}

#[test]
fn wrong_use_is_2() {
    let help = "For more information, try '--help'.";
    fails(&["bogus"], 2, "error: unrecognized subcommand 'bogus'", help);
    fails(&["up"], 2, "error: the following required arguments were not provided:", help);
    fails(
        &["status", "--instance", "a", "--node", "b"],
        2,
        "error: the argument '--instance <NAME>' cannot be used with '--node <SOCKET>'",
        help,
    );
}

#[test]
fn a_node_that_is_not_there_is_3_and_says_what_to_do() {
    for command in ["status", "connections", "config", "log", "certificates", "policies"] {
        fails(
            &[command, "--node", "/nowhere/admin.sock"],
            3,
            "culvert: no node runs here: /nowhere/admin.sock does not exist",
            stderr(&culvert(&["status", "--node", "/nowhere/x"])).lines().last().unwrap(),
        );
    }
}

#[test]
fn what_cannot_name_an_instance_or_a_pod_is_2() {
    for command in
        ["status", "connections", "config", "log", "uninstall", "certificates", "policies"]
    {
        fails(
            &[command, "--instance", "../node"],
            2,
            "culvert: --instance: \"../node\" is not 1 to 40 lower-case letters, digits and dashes",
            "next: name an instance as it was started; /run/culvert has a folder for each",
        );
    }
    fails(
        &["connections", "--pod", "cart"],
        2,
        "error: invalid value 'cart' for '--pod <NAMESPACE/NAME>': want NAMESPACE/NAME",
        "For more information, try '--help'.",
    );
}

#[test]
fn what_only_a_control_plane_knows_is_asked_of_it() {
    fails(
        &["token", "worker-1", "--control", "/nowhere/admin.sock"],
        3,
        "culvert: no node runs here: /nowhere/admin.sock does not exist",
        stderr(&culvert(&["status", "--node", "/nowhere/x"])).lines().last().unwrap(),
    );
    fails(
        &["token", "worker-1", "--good-for", "1"],
        2,
        "error: invalid value '1' for '--good-for <DURATION>': \"1\" is not a whole number with a unit, such as 250ms, 10s or 5m",
        "For more information, try '--help'.",
    );
}

#[test]
fn a_node_without_a_control_plane_is_2_with_everything_that_is_missing() {
    let output = culvert(&["node", "--print-config", "--node-name", "a/b"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.starts_with("culvert: the settings have 2 problems\n"), "{said}");
    assert!(said.contains("control: is not set; name the control plane"), "{said}");
    assert!(
        said.ends_with(
            "next: mend them and start again; `culvert node --help` lists the settings\n"
        )
    );
    fails(
        &["node", "--print-config", "--control", "https://c"],
        2,
        "culvert: the settings have a problem",
        "next: mend them and start again; `culvert node --help` lists the settings",
    );
    fails(
        &["node", "--print-config", "--control", "http://192.0.2.1:15010"],
        2,
        "culvert: the settings have a problem",
        "next: mend them and start again; `culvert node --help` lists the settings",
    );
}

#[test]
fn each_role_has_its_own_settings_and_defaults() {
    let of = |role: &[&str], name: &str| {
        let output = culvert(&[role, &["--print-config", "-o", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let settings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let settings = settings.as_array().unwrap().clone();
        settings.iter().find(|setting| setting["name"] == name).map(|one| one["value"].clone())
    };
    let node = ["node", "--control", "https://c", "--control-root", "root.pem"];
    assert_eq!(of(&["up"], "instance").unwrap(), "node");
    assert_eq!(of(&["control"], "instance").unwrap(), "control");
    assert_eq!(of(&["control"], "metrics_address").unwrap(), "0.0.0.0:15014");
    assert_eq!(of(&node, "metrics_address").unwrap(), "0.0.0.0:15020");
    assert_eq!(of(&["up"], "xds_tls_address").unwrap(), "off");
    assert_eq!(of(&["control"], "xds_tls_address").unwrap(), "0.0.0.0:15012");
    assert_eq!((of(&node, "xds_address"), of(&["control"], "strict")), (None, None));
    fails(
        &["control", "--strict", "--print-config"],
        2,
        "error: unexpected argument '--strict' found",
        "For more information, try '--help'.",
    );
}

const SHOP: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {culvert.dev/mesh: enabled}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {nodeName: a, serviceAccountName: web, containers: [{name: c, image: x}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: cart, namespace: shop, labels: {app: cart}}
spec: {nodeName: b, serviceAccountName: cart, containers: [{name: c, image: x}]}
status: {podIP: 10.0.0.2}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.1.0.1, selector: {app: cart}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web-only, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
    to: [{operation: {ports: [\"8080\"]}}]
";

#[test]
fn why_answers_from_manifests_with_the_rule_and_the_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("shop.yaml"), SHOP).unwrap();
    let folder = dir.path().to_str().unwrap();
    let why = |from: &str, to: &str| {
        let output = culvert(&["why", from, to, "-f", folder, "-o", "json"]);
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), said, stderr(&output))
    };
    let (code, said, _) = why("pod/shop/web", "cart.shop:80");
    assert_eq!((code, &said["answer"]), (Some(0), &"permitted".into()));
    let rule = &said["ways"][0]["arrivals"][0]["rule"];
    assert_eq!(rule["policy"], "shop/web-only");
    assert!(rule["origin"].as_str().unwrap().contains("shop.yaml:"), "{rule}");
    // The port of the rule is the one that the application listens on.
    let (code, said, _) = why("pod/shop/web", "pod/shop/cart:9090");
    assert_eq!((code, &said["answer"]), (Some(1), &"denied".into()));
    let nearest = &said["ways"][0]["arrivals"][0]["nearest"];
    assert_eq!(nearest["lacking"][0]["found"], "9090", "{said}");
    let mut elsewhere = Command::new(CULVERT);
    elsewhere.args(["why", "pod/shop/web", "cart.shop:80", "-f", folder]);
    let elsewhere = elsewhere.env("CULVERT_TRUST_DOMAIN", "td").output().unwrap();
    assert!(stdout(&elsewhere).contains("spiffe://td/ns/shop/sa/web"), "{}", stdout(&elsewhere));
    let (code, _, words) = why("pod/shop/nobody", "cart.shop:80");
    assert_eq!(code, Some(2), "{words}");
    let (code, _, words) = why("pod/shop", "cart.shop:80");
    assert_eq!(code, Some(2), "{words}");
    assert!(words.ends_with("next: `culvert why --help` shows how to ask\n"), "{words}");
}

#[test]
fn help_is_a_command_too_and_nothing_in_it_is_escaped() {
    let help = culvert(&["help", "demo"]);
    assert_eq!(help.status.code(), Some(0), "{}", stderr(&help));
    assert_eq!(stdout(&help), stdout(&culvert(&["demo", "--help"])));
    assert!(!stdout(&help).contains('\\'), "{}", stdout(&help));
}

#[test]
fn a_settings_file_that_is_no_text_is_2() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.yaml");
    fs::write(&file, b"workers: 1\n\xff\n").unwrap();
    let file = file.to_str().unwrap();
    fails(
        &["up", "--print-config", "--config", file],
        2,
        "culvert: the settings have a problem",
        "next: mend them and start again; `culvert up --help` lists the settings",
    );
    fails(
        &["up", "--print-config", "--config", "/dev/zero"],
        2,
        "culvert: cannot read the settings file /dev/zero (named by --config)",
        "next: name a file that exists and can be read",
    );
}

#[test]
fn bad_settings_are_2_and_said_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.yaml");
    fs::write(&file, "workers: 0\nworker: 1\n").unwrap();
    let file = file.to_str().unwrap();
    let output = culvert(&["up", "--print-config", "--config", file, "--strict=maybe"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        format!(
            "culvert: the settings have 3 problems\n  \
             {file}:1:10: workers: 0 is not from 1 to 1024\n  \
             {file}:2:1: unknown field \"worker\"; did you mean workers?\n  \
             --strict: \"maybe\" is neither true nor false\n\
             next: mend them and start again; `culvert up --help` lists the settings\n"
        )
    );
}

#[test]
fn print_config_shows_where_each_value_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.yaml");
    fs::write(&file, "workers: 3\ncluster: a\n").unwrap();
    let output = Command::new(CULVERT)
        .args(["up", "--print-config", "--trust-domain", "td", "-o", "json"])
        .env("CULVERT_CONFIG", &file)
        .env("CULVERT_CLUSTER", "b")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let settings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| {
        let found = settings.as_array().unwrap().iter().find(|setting| setting["name"] == name);
        let setting = found.unwrap();
        format!("{} from {}", setting["value"], setting["from"].as_str().unwrap())
    };
    assert_eq!(of("workers"), format!("3 from {}:1:10", file.display()));
    assert_eq!(of("cluster"), "\"b\" from CULVERT_CLUSTER");
    assert_eq!(of("trust_domain"), "\"td\" from --trust-domain");
    assert_eq!(of("strict"), "false from default");
}

#[test]
fn without_root_one_line_names_the_missing_capability() {
    if !nix::unistd::geteuid().is_root() {
        // Then the plain start below is the very case.
        let output = culvert(&["up", "-f", "."]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        return;
    }
    // The binary's own folder may be closed to others.
    let dir = tempfile::Builder::new().permissions(mode(0o755)).tempdir().unwrap();
    let copy = dir.path().join("culvert");
    fs::copy(CULVERT, &copy).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&copy)
        .args(["up", "-f", ".", "--log", "off"])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.lines().last().unwrap().starts_with("next: "), "{said}");
}

#[test]
fn version_and_completion_need_nothing() {
    let version = culvert(&["version", "-o", "json"]);
    assert_eq!(version.status.code(), Some(0));
    let version: serde_json::Value = serde_json::from_slice(&version.stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["objects"][0]["sha256"].as_str().unwrap().len(), 64);
    for shell in ["bash", "zsh", "fish"] {
        let script = culvert(&["completion", shell]);
        assert_eq!(script.status.code(), Some(0));
        assert!(stdout(&script).contains("print-config"), "{shell}");
    }
}

#[test]
fn the_settings_page_is_found_from_help() {
    assert!(stdout(&culvert(&["up", "--help"])).contains("docs/settings.md"));
    assert!(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md")).exists());
}

fn mode(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

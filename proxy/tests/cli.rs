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
    for command in ["status", "connections", "config", "log"] {
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
    for command in ["status", "connections", "config", "log", "uninstall"] {
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

//! `culvert check` as scripts, code hosts and people meet it.
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

const CULVERT: &str = env!("CARGO_BIN_EXE_culvert");

const WRONG: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selectors: {app: web}
---
apiVersion: example.org/v1
kind: Anvil
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {culvert.dev/mush: enabled}}
";

/// Runs it in `folder`, with `input` as standard input.
fn check(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(CULVERT)
        .arg("check")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // Whoever does not read it is not asked to.
    drop(child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes())));
    child.wait_with_output().expect("the binary ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

#[test]
fn a_person_sees_the_line_the_code_and_the_way_out() {
    let folder = folder(&[("web.yaml", WRONG)]);
    let output = check(folder.path(), &["web.yaml"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "next: mend what is called error, and check again\n");
    insta::assert_snapshot!(text(&output.stdout), @r"
    web.yaml:5:3: error[CUL102]: unknown field `selectors`
     5 |   selectors: {app: web}
       |   ^
       = did you mean `selector`?
    web.yaml:8:7: info[CUL202]: example.org/v1 Anvil is skipped: unknown kind
     8 | kind: Anvil
       |       ^
    web.yaml:12:51: warning[CUL303]: unknown label culvert.dev/mush: ignored
     12 | metadata: {name: shop, labels: {culvert.dev/mush: enabled}}
        |                                                   ^
        = did you mean `culvert.dev/mesh`?
    1 error, 1 warning, 1 note in 3 objects of 1 file
    ");
}

#[test]
fn a_program_gets_every_field() {
    let folder = folder(&[]);
    let output = check(folder.path(), &["-", "-o", "json"], WRONG);
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = document["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), 3);
    for finding in findings {
        let keys: Vec<_> = finding.as_object().expect("an object").keys().collect();
        let all = ["code", "column", "file", "fix", "line", "message", "object", "severity"];
        assert_eq!(keys.into_iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(all.iter().all(|key| finding.get(key).is_some()), "{finding}");
    }
    assert_eq!(
        findings[0],
        serde_json::json!({
            "code": "CUL102",
            "severity": "error",
            "message": "unknown field `selectors`",
            "file": "<stdin>",
            "line": 5,
            "column": 3,
            "object": "Service/web",
            "fix": "did you mean `selector`?",
        })
    );
}

/// What the schema of SARIF 2.1.0 requires of a log, and what readers need to place a result.
#[test]
fn a_code_host_gets_sarif() {
    let folder = folder(&[("web.yaml", WRONG)]);
    let output = check(folder.path(), &["./web.yaml", "-o", "sarif"], "");
    assert_eq!(output.status.code(), Some(1));
    let log: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    assert!(
        log["$schema"].as_str().is_some_and(|schema| schema.ends_with("sarif-schema-2.1.0.json"))
    );
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "culvert");
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let ids: BTreeSet<_> = rules.iter().filter_map(|rule| rule["id"].as_str()).collect();
    assert_eq!(ids.len(), rules.len(), "each rule once");
    let results = run["results"].as_array().expect("results");
    let levels: Vec<_> = results.iter().filter_map(|result| result["level"].as_str()).collect();
    assert_eq!(levels, ["error", "note", "warning"]);
    for result in results {
        assert!(result["message"]["text"].is_string());
        assert!(result["ruleId"].as_str().is_some_and(|id| ids.contains(id)));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "web.yaml");
        assert!(place["region"]["startLine"].as_u64().is_some_and(|line| line > 0));
        assert!(place["region"]["startColumn"].as_u64().is_some_and(|column| column > 0));
    }
}

#[test]
fn what_cannot_be_read_is_3_and_the_rest_is_checked_all_the_same() {
    let folder = folder(&[("web.yaml", WRONG)]);
    let output = check(folder.path(), &["gone", "web.yaml"], "");
    assert_eq!(output.status.code(), Some(3));
    let told = text(&output.stdout);
    assert!(told.starts_with("gone:1:1: error[CUL001]: no such file or folder\n"), "{told}");
    assert!(told.contains("error[CUL102]"), "{told}");
    assert_eq!(
        text(&output.stderr),
        "culvert: not all that was named could be read\n\
         next: name files and folders that are there and can be read\n"
    );
}

#[test]
fn what_has_no_errors_is_0() {
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";
    let folder = folder(&[("a.yaml", namespace)]);
    let output = check(folder.path(), &["."], "");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "no findings in 1 object of 1 file\n");
    let output = check(folder.path(), &["-"], namespace);
    assert_eq!(text(&output.stdout), "no findings in 1 object of 1 file\n");
    let output = check(folder.path(), &["-"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("warning[CUL005]"));
}

#[test]
fn wrong_use_is_2() {
    let folder = folder(&[]);
    for args in [&[][..], &["-o", "yaml", "."], &["-", "-"]] {
        assert_eq!(check(folder.path(), args, "").status.code(), Some(2), "{args:?}");
    }
}

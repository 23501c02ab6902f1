//! Findings as a SARIF 2.1.0 log: what code hosts and editors show beside the lines.
use culvert_control::problem::{Code, Problem, Severity};
use serde::Serialize;
use std::{collections::BTreeSet, fmt::Write as _};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Serialize)]
pub(super) struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    /// What a column counts.
    column_kind: &'static str,
    results: Vec<Outcome<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Text<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    rule_id: &'static str,
    level: &'static str,
    message: Text<String>,
    locations: [Location<'a>; 1],
}

#[derive(Serialize)]
struct Text<T> {
    text: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    physical_location: Physical,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<Logical<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    region: Region,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
}

/// The object of the manifests.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Logical<'a> {
    fully_qualified_name: &'a str,
    kind: &'static str,
}

pub(super) fn log(findings: &[Problem]) -> Log<'_> {
    let codes: BTreeSet<Code> = findings.iter().map(|finding| finding.code).collect();
    let rules = codes
        .into_iter()
        .map(|code| Rule { id: code.name(), short_description: Text { text: code.title() } });
    let driver =
        Driver { name: "culvert", version: env!("CARGO_PKG_VERSION"), rules: rules.collect() };
    let run = Run {
        tool: Tool { driver },
        column_kind: "unicodeCodePoints",
        results: findings.iter().map(outcome).collect(),
    };
    Log { schema: SCHEMA, version: "2.1.0", runs: [run] }
}

fn outcome(finding: &Problem) -> Outcome<'_> {
    let Problem { file, line, column, severity, code, object, message, fix, .. } = finding;
    let fix = fix.as_ref().map_or(String::new(), |fix| format!("; {fix}"));
    let logical =
        object.as_deref().map(|object| Logical { fully_qualified_name: object, kind: "resource" });
    Outcome {
        rule_id: code.name(),
        level: match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        },
        message: Text { text: format!("{message}{fix}") },
        locations: [Location {
            physical_location: Physical {
                artifact_location: Artifact { uri: uri(file) },
                region: Region { start_line: (*line).max(1), start_column: (*column).max(1) },
            },
            logical_locations: logical.into_iter().collect(),
        }],
    }
}

/// A path as a reference: whole ones of this machine, others relative to where this ran.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            // Writing to a text cannot fail.
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn a_path_is_a_reference() {
        assert_eq!(uri("./mesh/a b.yaml"), "mesh/a%20b.yaml");
        assert_eq!(uri("a:b.yaml"), "a%3Ab.yaml");
        assert_eq!(uri("/mesh/ü.yaml"), "file:///mesh/%C3%BC.yaml");
        assert_eq!(uri("<stdin>"), "%3Cstdin%3E");
    }
}

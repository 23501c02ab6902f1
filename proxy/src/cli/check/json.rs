//! Findings as the stable JSON document.
use culvert_control::problem::{Code, Problem, Severity};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    findings: Vec<Finding<'a>>,
}

/// Every field is always there.
#[derive(Serialize)]
struct Finding<'a> {
    code: Code,
    severity: Severity,
    message: &'a str,
    file: &'a str,
    line: u32,
    column: u32,
    object: Option<&'a str>,
    fix: Option<&'a str>,
}

pub(super) fn document(findings: &[Problem]) -> Document<'_> {
    Document { findings: findings.iter().map(finding).collect() }
}

fn finding(problem: &Problem) -> Finding<'_> {
    let Problem { file, line, column, severity, code, object, message, fix, .. } = problem;
    Finding {
        code: *code,
        severity: *severity,
        message,
        file,
        line: *line,
        column: *column,
        object: object.as_deref(),
        fix: fix.as_deref(),
    }
}

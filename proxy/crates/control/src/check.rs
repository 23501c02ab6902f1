//! What is wrong with manifests, found without using them.
//!
//! First what each object says by itself, then what they say together.
use crate::{
    compile::{self, Ambient, Settings},
    object::{Because, Objects, Skipped},
    problem::{Code, Problem, Severity},
    source::files::{Files, Found},
};
use std::{collections::BTreeMap, path::PathBuf};

mod references;

#[cfg(test)]
mod tests;

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of their places.
    pub findings: Vec<Problem>,
    /// How many objects there were, whatever became of them.
    pub objects: usize,
    /// How many files were read.
    pub files: usize,
}

/// Checks what is below `paths`; `-` is standard input.
#[must_use]
pub fn check(paths: &[PathBuf]) -> Report {
    match Files::open(paths) {
        Ok(files) => {
            let Found { objects, problems, files } = files.read();
            let mut findings = findings(&objects, problems);
            if findings.is_empty() && objects.seen == 0 {
                let first = paths.first().map(|path| path.display().to_string());
                findings.push(nothing(first.unwrap_or_default()));
            }
            Report { findings, objects: objects.seen, files }
        }
        Err(findings) => Report { findings, objects: 0, files: 0 },
    }
}

/// Everything worth saying about `objects`, beside what is wrong with what could not be read.
fn findings(objects: &Objects, unread: Vec<Problem>) -> Vec<Problem> {
    let mut findings = unread;
    // What cannot be read may well be what others name.
    if findings.iter().all(|finding| finding.severity != Severity::Error) {
        findings.extend(references::missing(objects));
    }
    let told = match compile::mesh(objects, &settings()) {
        Ok(mesh) => mesh.notes,
        Err(problems) => problems,
    };
    let told = unsaid(told, &findings);
    let is_open = objects.services.is_empty() && objects.service_entries.is_empty();
    findings.extend(told.into_iter().map(|problem| {
        if problem.code == Code::Rule {
            problem.coded(Code::Meaning)
        } else if problem.code == Code::Reference && is_open {
            Problem { severity: Severity::Info, ..problem }
        } else {
            problem
        }
    }));
    findings.extend(skipped(&objects.skipped));
    findings.sort();
    findings.dedup();
    findings
}

/// What is not told of the same object already: that something is not there.
fn unsaid(told: Vec<Problem>, findings: &[Problem]) -> Vec<Problem> {
    let mut said: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.code == Code::Reference) {
        said.entry(finding.object.as_deref()).or_default().push(&finding.message);
    }
    let is_new = |problem: &Problem| {
        let of = said.get(&problem.object.as_deref()).into_iter().flatten();
        problem.code != Code::Reference
            || !of.into_iter().any(|said| problem.message.ends_with(said))
    };
    told.into_iter().filter(is_new).collect()
}

/// Whoever names an empty folder means another one.
fn nothing(path: String) -> Problem {
    let problem = Problem::of_file(path, "no object is in what was named").coded(Code::Nothing);
    let problem = problem.with_fix("name files, or folders of .yaml, .yml or .json files");
    Problem { severity: Severity::Warning, ..problem }
}

/// Those of a control plane for which nothing is set.
fn settings() -> Settings {
    Settings {
        node_name: "".into(),
        cluster: "Kubernetes".into(),
        trust_domain: "cluster.local".into(),
        ambient: Ambient::default(),
        l7: true,
    }
}

/// Kinds that are not used: each once, where it is met first.
fn skipped(objects: &[Skipped]) -> impl Iterator<Item = Problem> {
    let mut kinds: BTreeMap<(&str, &str), (&Skipped, usize)> = BTreeMap::new();
    // A likely slip of the keyboard is a warning already.
    for object in objects.iter().filter(|object| object.note().is_none()) {
        kinds.entry((&object.api_version, &object.kind)).or_insert((object, 0)).1 += 1;
    }
    kinds.into_values().map(|(Skipped { api_version, kind, origin, because, .. }, count)| {
        let what = because.as_str();
        let several = if count > 1 { format!(" ({count} objects)") } else { String::new() };
        let info = origin.info(format!("{api_version} {kind} is skipped: {what}{several}"));
        info.coded(match because {
            Because::NotYetUsed => Code::NotUsed,
            Because::UnknownKind => Code::UnknownKind,
        })
    })
}

impl Report {
    /// How many findings are so severe.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Not all that was named could be read.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.findings.iter().any(|finding| finding.code == Code::Unreadable)
    }
}

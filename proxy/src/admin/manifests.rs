//! What became of the manifests.
use super::view;
use crate::node::Source;
use culvert_control::{
    problem::Problem,
    status::{Invalid, KindStatus, SkippedKind, Status},
};
use std::path::PathBuf;

/// Those that a node reads: all, or of its own pods.
pub(super) fn of_node(source: &Source) -> view::Configuration {
    match source {
        Source::Here { control, paths, .. } => of(&control.status(), paths),
        Source::Pods { control, paths, .. } => of(&control.status(), paths),
        // There are none: each object is used or not by itself.
        Source::Cluster { .. } => of(&Status::default(), &[]),
    }
}

/// What is in force, and why the last change is not.
pub(super) fn of(status: &Status, paths: &[PathBuf]) -> view::Configuration {
    let refused = status.refused.as_ref().map_or(&[][..], |refused| &refused.problems);
    view::Configuration {
        paths: paths.iter().map(|path| path.display().to_string()).collect(),
        generation: status.generation,
        since_unix_ms: status.since_unix_ms,
        refused: refused.iter().map(problem).collect(),
        notes: status.notes.iter().map(problem).collect(),
        skipped: status.skipped.iter().map(skipped).collect(),
        invalid: status.invalid.iter().map(invalid).collect(),
        kinds: status.kinds.iter().map(followed).collect(),
    }
}

fn problem(problem: &Problem) -> view::Problem {
    view::Problem {
        file: problem.file.clone(),
        line: problem.line,
        column: problem.column,
        field: problem.field.clone(),
        message: problem.message.clone(),
        object: problem.object.clone(),
        fix: problem.fix.clone(),
        text: problem.to_string(),
    }
}

fn skipped(skipped: &SkippedKind) -> view::Skipped {
    view::Skipped {
        kind: format!("{} {}", skipped.api_version, skipped.kind),
        objects: skipped.objects,
        because: skipped.because.to_owned(),
        first: skipped.first.clone(),
    }
}

fn invalid(invalid: &Invalid) -> view::Invalid {
    view::Invalid {
        object: invalid.object.clone(),
        instead: invalid.instead.word().to_owned(),
        means: invalid.instead.as_str().to_owned(),
        problems: invalid.problems.iter().map(problem).collect(),
    }
}

fn followed(kind: &KindStatus) -> view::Followed {
    view::Followed {
        kind: kind.kind.clone(),
        state: kind.state.word().to_owned(),
        objects: kind.objects,
        because: kind.because.clone(),
    }
}

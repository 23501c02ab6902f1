//! What became of the manifests.
use super::view;
use crate::node::Source;
use culvert_control::{
    compile::http::gateway_api::status::{Condition, Says, Standing},
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
        objects: status.standings.iter().map(stood).collect(),
    }
}

fn stood(standing: &Standing) -> view::Stood {
    let mut conditions = Vec::new();
    let mut say = |of: String, all: &[Condition]| {
        conditions.extend(all.iter().map(|one| view::Said {
            of: of.clone(),
            kind: one.kind.to_owned(),
            status: one.is_so,
            reason: one.reason.to_owned(),
            message: one.message.clone(),
        }));
    };
    match &standing.says {
        Says::Class(all) | Says::Policy(all) => say(String::new(), all),
        Says::Gateway { conditions, listeners } => {
            say(String::new(), conditions);
            listeners.iter().for_each(|one| say(format!("listener {}", one.name), &one.conditions));
        }
        Says::Route(parents) => {
            parents.iter().for_each(|one| say(format!("parent {}", one.index), &one.conditions));
        }
    }
    view::Stood { object: standing.object.to_string(), conditions }
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

//! What is logged of changes: each thing once, not at every change of something else.
use crate::{
    problem::Problem,
    status::{Invalid, KindState, KindStatus, SkippedKind},
};
use tracing::{info, warn};

/// More lines than this on one change say no more; the status has them all.
pub(super) const MAX_LOGGED: usize = 50;

/// Logs each warning once; both are sorted, for there may be thousands.
pub(super) fn tell_notes(notes: &[Problem], before: &[Problem]) {
    let new = notes.iter().filter(|note| before.binary_search(note).is_err());
    for note in new.take(MAX_LOGGED) {
        warn!("{}", note.in_one_line());
    }
}

/// Logs each kind that is not used once: who wrote it may wait for what it asks for.
pub(super) fn tell_skipped(skipped: &[SkippedKind], before: &[SkippedKind]) {
    let is_new = |kind: &SkippedKind| {
        before.iter().all(|b| (&b.api_version, &b.kind) != (&kind.api_version, &kind.kind))
    };
    for SkippedKind { api_version, kind, because, objects, first } in
        skipped.iter().filter(|kind| is_new(kind)).take(MAX_LOGGED)
    {
        info!(objects, first, "skipped {api_version} {kind}: {because}");
    }
}

/// Logs each object of the API that is not in force as it is, and each that is again.
pub(super) fn tell_invalid(invalid: &[Invalid], before: &[Invalid]) {
    let new = invalid.iter().filter(|one| !before.contains(one));
    for Invalid { instead, problems, .. } in new.take(MAX_LOGGED) {
        let instead = instead.as_str();
        for problem in problems.iter().take(MAX_LOGGED) {
            warn!("{}; {instead}", problem.in_one_line());
        }
    }
    let is_there = |object: &str| invalid.iter().any(|one| one.object == object);
    for Invalid { object, .. } in before.iter().filter(|one| !is_there(&one.object)) {
        info!("{object} is in force, or gone");
    }
}

/// Logs what cannot be followed, and what can again.
pub(super) fn tell_kinds(kinds: &[KindStatus], before: &[KindStatus]) {
    let unreachable = |kinds: &[KindStatus]| kinds.iter().any(|kind| !kind.is_reachable);
    match (unreachable(before), unreachable(kinds)) {
        (false, true) => {
            let first = kinds.iter().find(|kind| !kind.is_reachable);
            let because = first.and_then(|kind| kind.because.as_deref()).unwrap_or_default();
            warn!("{because}; what it said last stays in force");
        }
        (true, false) => info!("the Kubernetes API can be reached again"),
        (true, true) | (false, false) => {}
    }
    for (index, now) in kinds.iter().enumerate() {
        let was = before.get(index);
        let is_news = was.is_none_or(|was| (was.state, &was.because) != (now.state, &now.because));
        if is_news && now.is_reachable {
            tell_kind(now, was.map(|was| was.state));
        }
    }
}

fn tell_kind(now: &KindStatus, was: Option<KindState>) {
    let KindStatus { kind, because, .. } = now;
    match (was, now.state) {
        (_, KindState::Unavailable) => {
            warn!("{kind} cannot be followed: {}", because.as_deref().unwrap_or_default());
        }
        (Some(KindState::Undefined), KindState::Followed) => {
            info!("{kind} is defined by now: followed");
        }
        (_, KindState::Undefined) => info!("{kind} is not defined in this cluster"),
        (Some(KindState::Unavailable), KindState::Followed) => {
            info!("{kind} is followed again");
        }
        (_, KindState::Followed | KindState::Unknown) => {}
    }
}

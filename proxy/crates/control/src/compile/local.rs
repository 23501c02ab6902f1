//! Where the network namespace of a pod is mounted.
use crate::{
    object::{pod::Pod, spanned::Spanned},
    problem::Problem,
};
use std::path::{Component, Path, PathBuf};

pub(super) const NETNS: &str = "culvert.dev/netns";

/// The path a pod's annotation names, in its plainest spelling.
pub(super) fn netns(pod: &Pod) -> Result<Option<Spanned<PathBuf>>, Box<Problem>> {
    let Some(written) = pod.meta.annotations.get(NETNS) else { return Ok(None) };
    let wrong = |what: &str| {
        let message = format!("annotation {NETNS} {what}");
        let problem = pod.meta.at(written.at).error(message);
        Box::new(problem.with_fix("write the whole path: /run/netns/NAME"))
    };
    let path = Path::new(&written.value);
    if !path.is_absolute() {
        return Err(wrong("is not an absolute path"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(wrong("contains `..`"));
    }
    if written.value.chars().any(char::is_control) {
        return Err(wrong("contains a control character"));
    }
    // `//` and `/./` name the same file.
    let value: PathBuf = path.components().collect();
    if value == Path::new("/") {
        return Err(wrong("names no file"));
    }
    Ok(Some(Spanned { value, at: written.at }))
}

/// An enrolled pod of this node that does not say where its network namespace is.
pub(super) fn no_netns(pod: &Pod) -> Problem {
    let problem =
        pod.meta.named().error("an enrolled pod of this node needs its network namespace");
    problem.with_fix(format!("annotate it with {NETNS}: /run/netns/NAME"))
}

//! What this node must know of a pod that it holds.
use super::Settings;
use crate::{
    object::{pod::Pod, spanned::Spanned},
    problem::Problem,
};
use std::{
    net::IpAddr,
    path::{Component, Path, PathBuf},
};

pub(super) const NETNS: &str = "culvert.dev/netns";

/// The name servers of the pod, where its `dnsConfig` does not say them.
pub(super) const RESOLVERS: &str = "culvert.dev/resolvers";

/// Whether it is for this node to hold `pod`.
pub(super) fn is_here(pod: &Pod, settings: &Settings) -> bool {
    !settings.node_name.is_empty()
        && pod.node.as_deref().is_none_or(|node| *node == *settings.node_name)
}

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

/// The name servers that the pod asks: those of the annotation, else those of its `dnsConfig`.
pub(super) fn resolvers(pod: &Pod) -> Result<Vec<IpAddr>, Box<Problem>> {
    let Some(written) = pod.meta.annotations.get(RESOLVERS) else {
        return Ok(pod.nameservers.iter().map(|server| server.value).collect());
    };
    let parts = written.value.split([',', ' ']).filter(|part| !part.is_empty());
    let read = parts.map(|part| part.parse::<IpAddr>().map(|ip| ip.to_canonical()));
    read.collect::<Result<_, _>>().map_err(|wrong| {
        let message = format!("annotation {RESOLVERS} is no list of IP addresses: {wrong}");
        Box::new(pod.meta.at(written.at).error(message).with_fix("write \"10.0.0.10, fd00::a\""))
    })
}

//! Whose a process is, by the cgroup that the kubelet put it into. Pure.
//!
//! ```text
//! 0::/kubepods/burstable/pod2b3f…-…/4d5e…                              cgroupfs, v2
//! 4:memory:/kubepods/pod2b3f…-…/4d5e…                                  cgroupfs, v1 and hybrid
//! 0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2b3f…_….slice/cri-containerd-4d5e….scope
//! ```
//!
//! Folders around these are somebody else's: of a node that is a container itself.

/// What the kubelet's own folders are called, in each of its ways.
const KUBEPODS: &str = "kubepods";

/// The uid of the pod that a process is in, from `/proc/PID/cgroup`; `None`: in none.
///
/// A static pod has a hash where others have a uid, and is called by that here too.
#[must_use]
pub fn pod_uid(cgroups: &str) -> Option<String> {
    cgroups.lines().find_map(|line| of_path(line.splitn(3, ':').nth(2)?))
}

fn of_path(path: &str) -> Option<String> {
    let mut below = false;
    for folder in path.split('/') {
        let name = folder.strip_suffix(".slice").unwrap_or(folder);
        let is_kubelets = is_kubepods(name);
        let uid = match name.rsplit_once("-pod") {
            // systemd: each folder repeats the names of those around it.
            Some((before, uid)) if folder.ends_with(".slice") && is_kubepods(before) => uid,
            _ => match name.strip_prefix("pod") {
                Some(uid) if below => uid,
                _ => {
                    below |= is_kubelets;
                    continue;
                }
            },
        };
        return uid_of(uid);
    }
    None
}

/// `kubepods`, `kubepods-burstable`, and both below a root of the kubelet's own: `kubelet-kubepods`.
fn is_kubepods(name: &str) -> bool {
    name.split('-').any(|part| part == KUBEPODS)
}

/// The uid as the API server writes it, if this is one.
fn uid_of(text: &str) -> Option<String> {
    let uid: String = text.chars().map(|c| if c == '_' { '-' } else { c }).collect();
    let plain = |c: char| c.is_ascii_hexdigit() || c == '-';
    let digits = uid.chars().filter(|c| *c != '-').count();
    (digits == 32 && uid.len() <= 36 && uid.chars().all(plain)).then(|| uid.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "2b3fd8a1-7c41-4b8e-9d5a-0123456789ab";

    #[test]
    fn every_way_of_the_kubelet_is_known() {
        let under = UID.replace('-', "_");
        for text in [
            format!("0::/kubepods/burstable/pod{UID}/4d5e\n"),
            format!("0::/kubepods/pod{UID}/4d5e"),
            format!("12:pids:/user.slice\n4:memory:/kubepods/besteffort/pod{UID}/4d5e\n0::/\n"),
            format!("0::/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-4d5e.scope"),
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/crio-4d5e.scope"
            ),
            format!(
                "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{under}.slice/cri-containerd-4d5e.scope"
            ),
            format!("0::/docker/77aa/kubelet/kubepods/burstable/pod{UID}/4d5e"),
            format!("0::/../../kubepods-burstable-pod{under}.slice/cri-containerd-4d5e.scope"),
        ] {
            assert_eq!(pod_uid(&text).as_deref(), Some(UID), "{text}");
        }
        let fixed = "e0c5f7d3a1b24c6d8e9f00112233aabb";
        let text = format!("0::/kubepods/burstable/pod{fixed}/4d5e");
        assert_eq!(pod_uid(&text).as_deref(), Some(fixed));
    }

    #[test]
    fn what_is_no_pod_is_none() {
        for text in [
            "",
            "0::/",
            "0::/system.slice/kubelet.service",
            "0::/kubepods/burstable",
            "0::/kubepods/podman/4d5e",
            "0::/user.slice/podman-77.scope",
            &format!("0::/machine.slice/pod{UID}"),
            &format!("0::/system.slice/my-pod{}.slice", UID.replace('-', "_")),
        ] {
            assert_eq!(pod_uid(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_uid_is_found_by_both_drivers(uid in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}") {
            let under = uid.replace('-', "_");
            for path in [
                format!("/kubepods/pod{uid}/x"),
                format!("/kubepods.slice/kubepods-pod{under}.slice/x.scope"),
            ] {
                let text = format!("0::{path}");
                let found = pod_uid(&text);
                prop_assert_eq!(found.as_deref(), Some(&*uid));
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            drop(pod_uid(&text));
        }
    }
}

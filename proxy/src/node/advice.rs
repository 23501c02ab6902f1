//! What to do about each reason for which a node cannot start.
use super::WayError;
use crate::{
    admin::listeners::ListenError,
    config::settings::{self, Setting},
    failure::{Exit, Failure},
    ground::{Ground, no_instance},
    takeover::new::TakeoverError,
};
use culvert_control::control::StartError;
use culvert_identity::{ca::files::FilesError, crl::CrlError};
use culvert_kernel::{NodeError, RecordError};
use std::io;

/// Whoever mends these has seen what the rest is like.
const MAX_TOLD: usize = 50;

pub(crate) fn no_control(error: &StartError) -> Failure {
    let next = match error {
        // Each problem has its own lines.
        StartError::Manifests(problems) => {
            let failure = Failure::new(
                Exit::Found,
                "the manifests have problems; nothing was changed",
                "mend them and start again",
            );
            let failure = problems.0.iter().take(MAX_TOLD).fold(failure, Failure::and);
            return match problems.0.len().saturating_sub(MAX_TOLD) {
                0 => failure,
                more => failure.and(format_args!("… and {more} more")),
            };
        }
        StartError::Watch(_) => {
            "see the limits of inotify: sysctl fs.inotify.max_user_watches, max_user_instances"
                .to_owned()
        }
        StartError::Authority(_) => {
            format!(
                "see the files of the settings {} and {}",
                settings::CA_FOLDER,
                settings::STATE_DIR
            )
        }
        StartError::JoinTokens(_) | StartError::Record(_) => {
            format!(
                "see that the folder can be written, or name another with {}",
                settings::STATE_DIR
            )
        }
        StartError::Serving(_) => format!("mend the setting {}", settings::CONTROL_NAMES),
    };
    Failure::of(Exit::Cannot, error, next)
}

pub(crate) fn no_way(error: &WayError) -> Failure {
    let next = match error {
        WayError::Read { .. } => "name a file that exists with the setting join_token".to_owned(),
        WayError::Token { .. } => {
            "have a new one made where the control plane runs: `culvert token NODE`, or `culvert token NAMESPACE/NAME` for a gateway".to_owned()
        }
        WayError::OtherNode { node, .. } if node.contains('/') => {
            format!("have one made for this gateway: `culvert token {node}`")
        }
        WayError::OtherNode { node, .. } => format!(
            "have one made for this node (`culvert token {node}`), or name the node as the token does with --node-name"
        ),
        WayError::Node(..) => "choose another name with --node-name".to_owned(),
        WayError::Upstream(_) => format!("mend the setting {}", settings::CONTROL),
    };
    Failure::of(Exit::Usage, error, next)
}

pub(crate) fn no_crl(error: &CrlError) -> Failure {
    let next = format!("name a file of revocation lists, PEM or DER, with {}", settings::CRL);
    Failure::of(Exit::Cannot, error, next)
}

pub(super) fn no_authority(error: &FilesError) -> Failure {
    let next = format!("see {}: ca-cert.pem, ca-key.pem, root-cert.pem", settings::CA_FOLDER);
    Failure::of(Exit::Cannot, error, next)
}

pub(super) fn no_takeover(error: &TakeoverError) -> Failure {
    let next = match error {
        TakeoverError::Refused { next, .. } => next.clone(),
        TakeoverError::Silent(_) | TakeoverError::Answer(_) => {
            "see its log; end it with SIGTERM, or with SIGKILL when it hangs, and start this one again"
                .to_owned()
        }
    };
    Failure::of(Exit::Cannot, error, next)
}

pub(crate) fn no_listener(error: &ListenError) -> Failure {
    let next = match error {
        ListenError::Address { address, setting, source }
            if source.kind() == io::ErrorKind::AddrInUse =>
        {
            taken(setting, address.port())
        }
        ListenError::Address { setting, .. } => format!("change the setting {setting}"),
        ListenError::Socket { .. } => "see that /run/culvert can be written".to_owned(),
        ListenError::Copy(_) => "raise the limit of open files (ulimit -n)".to_owned(),
    };
    Failure::of(Exit::Cannot, error, next)
}

/// Not by an older Culvert of this instance: that one would have handed it over.
fn taken(setting: &Setting, port: u16) -> String {
    format!(
        "end whoever has it (`ss -ltnp sport = :{port}` tells), or change the setting {setting}"
    )
}

pub(super) fn no_node(error: &NodeError) -> Failure {
    let next = match error {
        NodeError::CorruptPin { instance, .. } => {
            format!("run `culvert uninstall --instance {instance}`, then start again")
        }
        NodeError::AttachedElsewhere { instance, .. } => format!(
            "start it with the cgroup_root that it had, or run `culvert uninstall --instance {instance}` and start again"
        ),
        NodeError::NewerLayout { instance, .. } => format!(
            "start the newer version, or run `culvert uninstall --instance {instance}` first"
        ),
        NodeError::Bpffs(_) => {
            "mount it: mount -t bpf bpf /sys/fs/bpf; a container needs it from the host".to_owned()
        }
        NodeError::Exclusion(_) => "mend the setting `exclude`".to_owned(),
        NodeError::Instance(error) => return no_instance(error),
        NodeError::OutsideCgroup { .. } => {
            "see that nothing moves this process to another cgroup, such as a supervisor".to_owned()
        }
        NodeError::NotOwner => "look with `culvert status` who has it".to_owned(),
        NodeError::Record(RecordError::Malformed { .. }) => {
            "run `culvert uninstall` for this instance, then start again".to_owned()
        }
        NodeError::Io { .. } | NodeError::Record(RecordError::Io { .. }) => {
            "see that the path is there and can be written, also inside a container".to_owned()
        }
        NodeError::Load { .. } => {
            "see dmesg for what the kernel says; if pins are damaged, `culvert uninstall` removes them"
                .to_owned()
        }
        NodeError::Attach { .. }
        | NodeError::Map { .. }
        | NodeError::Netns(_)
        | NodeError::Cookie(_) => {
            "see `culvert version` for what the kernel can do, and dmesg for what it says"
                .to_owned()
        }
    };
    Failure::of(Exit::Cannot, error, next)
}

pub(crate) fn no_descriptor(error: &io::Error) -> Failure {
    Failure::new(Exit::Cannot, "cannot open the doors", "raise the limit of open files (ulimit -n)")
        .because(error)
}

/// Says what a start that failed means for pods of an earlier process, if none serves them.
pub(super) fn tell_refused(failure: Failure, ground: &Ground) -> Failure {
    let Ground { instance, lock, .. } = ground;
    match instance.recorded_pods() {
        0 => failure,
        _ if !lock.is_only() => failure,
        pods => failure.and(format_args!(
            "pods captured by an earlier process: {pods}; they are refused new connections (or go direct, with fail: open) until a process is ready, or `culvert uninstall` lets them go"
        )),
    }
}

pub(super) fn no_return() -> Failure {
    Failure::new(
        Exit::Cannot,
        "a newer version took the kernel programs over and ended before it was ready",
        "start that version again; or run `culvert uninstall` to let its pods go",
    )
}

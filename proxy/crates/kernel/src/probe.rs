//! What this kernel and these privileges allow.
use crate::{flows, netns::Netns, sys};
use aya::{
    maps::{MapError, MapType},
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};
use serde::Serialize;
use std::{fs, io};

/// What the kernel can do beyond what is required.
#[expect(clippy::struct_excessive_bools, reason = "independent abilities, read by name")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// As `uname -r` says.
    pub kernel: String,
    /// `SO_NETNS_COOKIE` (5.14); else a program is asked.
    pub netns_cookie: bool,
    /// Namespace cookies in sockops programs (5.15); else pods are told apart by address there.
    pub sockops_cookie: bool,
    /// The interface in `sk_lookup` programs (5.17); else the port checks of deliveries count as
    /// inbound connections.
    pub lookup_ingress: bool,
    /// Links on interfaces (6.6); else the strict guard uses clsact.
    pub tcx: bool,
    /// Connections can be ended from outside (`CONFIG_INET_DIAG_DESTROY`); else none goes direct,
    /// for it could not be cut off when that is not allowed any more.
    pub destroy: bool,
}

/// What is missing.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(
        "{capability} is missing: run as root, or grant CAP_NET_ADMIN and CAP_SYS_ADMIN \
         (CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON)"
    )]
    Capability { capability: &'static str },
    #[error("cannot read {0}")]
    Read(&'static str, #[source] io::Error),
    #[error("bpf(2) is not usable: CONFIG_BPF_SYSCALL, or a seccomp filter of the container?")]
    Bpf(#[source] io::Error),
    #[error("kernel {kernel} lacks {feature} (Linux {since}); the oldest that works is 5.10")]
    Feature { feature: &'static str, since: &'static str, kernel: String },
    #[error("cannot find out whether the kernel has {feature}")]
    Unknown {
        feature: &'static str,
        #[source]
        source: aya::EbpfError,
    },
}

/// Looks at the kernel and this process's privileges.
///
/// # Errors
///
/// The first thing that is missing, with the capability or the kernel version that has it.
pub fn probe() -> Result<Capabilities, ProbeError> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(|e| ProbeError::Read("/proc/sys/kernel/osrelease", e))?
        .trim()
        .to_owned();
    privileges()?;
    sys::usable().map_err(ProbeError::Bpf)?;
    for (feature, since, need) in &REQUIRED {
        if !need.is_met().map_err(|source| ProbeError::Unknown { feature, source })? {
            return Err(ProbeError::Feature { feature, since, kernel });
        }
    }
    let cookie = is_helper_supported(ProgramType::SockOps, BpfHelper::BPF_FUNC_get_netns_cookie);
    Ok(Capabilities {
        netns_cookie: Netns::current().is_ok_and(|own| own.cookie().is_some()),
        sockops_cookie: cookie.unwrap_or(false),
        lookup_ingress: is_at_least(&kernel, (5, 17)),
        tcx: sys::has_tcx(),
        destroy: flows::can_destroy(),
        kernel,
    })
}

fn privileges() -> Result<(), ProbeError> {
    const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];
    let status = fs::read_to_string("/proc/thread-self/status")
        .map_err(|e| ProbeError::Read("/proc/thread-self/status", e))?;
    let held = effective(&status);
    match NEEDED.iter().find(|(bit, _)| held & (1 << bit) == 0) {
        Some((_, capability)) => Err(ProbeError::Capability { capability }),
        None => Ok(()),
    }
}

/// `CapEff` of proc(5)'s status file; none if it is not there.
fn effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// Compares `uname -r`, where trying is not possible.
fn is_at_least(kernel: &str, least: (u32, u32)) -> bool {
    let mut numbers = kernel.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
    numbers.next().zip(numbers.next()).is_some_and(|found| found >= least)
}

/// What the programs cannot do without.
enum Need {
    Program(ProgramType),
    Map(MapType),
}

/// Each with the kernel it came with, oldest first.
const REQUIRED: [(&str, &str, Need); 6] = [
    ("prefix tries", "4.11", Need::Map(MapType::LpmTrie)),
    ("sockops programs", "4.13", Need::Program(ProgramType::SockOps)),
    ("socket maps", "4.14", Need::Map(MapType::SockMap)),
    ("cgroup connect hooks", "4.17", Need::Program(ProgramType::CgroupSockAddr)),
    ("socket storage", "5.2", Need::Map(MapType::SkStorage)),
    ("sk_lookup programs", "5.9", Need::Program(ProgramType::SkLookup)),
];

impl Need {
    fn is_met(&self) -> Result<bool, aya::EbpfError> {
        match self {
            Self::Program(kind) => Ok(is_program_supported(*kind)?),
            Self::Map(kind) => Ok(is_map_supported(*kind).map_err(MapError::from)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_kernel_versions_by_number() {
        assert!(is_at_least("6.1.0-49-amd64", (5, 17)));
        assert!(is_at_least("5.17", (5, 17)));
        assert!(!is_at_least("5.9.1", (5, 17)));
        assert!(!is_at_least("custom", (5, 17)));
    }

    #[test]
    fn reads_the_effective_capabilities() {
        assert_eq!(effective("Name:\tx\nCapEff:\t0000000000201000\n"), 1 << 12 | 1 << 21);
        assert_eq!(effective("CapPrm:\tff\n"), 0);
    }
}

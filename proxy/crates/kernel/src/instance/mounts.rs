//! `/proc/self/mountinfo` and `/proc/self/cgroup`.
use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// One line of mountinfo.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The part of the file system that is mounted.
    root: PathBuf,
    at: PathBuf,
    kind: String,
}

/// Where cgroup2 is mounted, beside version 1 or alone; the last mount wins, as it hides the others.
pub(crate) fn cgroup2_root(mountinfo: &str) -> Option<PathBuf> {
    cgroup2(mountinfo).map(|mount| mount.at)
}

/// Where this process's cgroup of version 2 can be seen, if it can.
pub(crate) fn own_cgroup(mountinfo: &str, cgroups: &str) -> Option<PathBuf> {
    let mount = cgroup2(mountinfo)?;
    let own = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let below = Path::new(own).strip_prefix(&mount.root).ok()?;
    Some(if below.as_os_str().is_empty() { mount.at } else { mount.at.join(below) })
}

fn cgroup2(mountinfo: &str) -> Option<Mount> {
    // A mount of the whole hierarchy, before one of a part.
    let mounts = || mountinfo.lines().filter_map(parse).filter(|mount| mount.kind == "cgroup2");
    let whole = mounts().rfind(|mount| mount.root == Path::new("/"));
    whole.or_else(|| mounts().next_back())
}

/// Reads `36 35 98:0 /root /at options [tags...] - kind source options` (proc(5)).
fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, at) = (unescape(fields.next()?), unescape(fields.next()?));
    Some(Mount { root, at, kind: after.split(' ').next()?.to_owned() })
}

/// Space, tab, newline and backslash are written as octal.
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let octal = (first == b'\\')
            .then(|| after.first_chunk::<3>())
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        path.push(octal.unwrap_or(first));
        rest = after.get(if octal.is_some() { 3 } else { 0 }..).unwrap_or_default();
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    #[test]
    fn finds_cgroup2_beside_version_1() {
        assert_eq!(cgroup2_root(HYBRID), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(cgroup2_root("31 23 0:28 / /sys rw - sysfs sysfs rw\n"), None);
    }

    #[test]
    fn prefers_the_whole_hierarchy_to_a_part() {
        let part = "50 31 0:38 /a /mnt rw - cgroup2 cgroup2 rw\n";
        assert_eq!(cgroup2_root(&format!("{HYBRID}{part}")), cgroup2_root(HYBRID));
        assert_eq!(cgroup2_root(part), Some("/mnt".into()));
    }

    #[test]
    fn says_where_the_own_cgroup_is_seen() {
        let cgroups = "9:name=systemd:/x\n0::/a/b\n";
        assert_eq!(own_cgroup(HYBRID, cgroups), Some("/sys/fs/cgroup/unified/a/b".into()));
        let part = "50 31 0:38 /a /mnt rw - cgroup2 cgroup2 rw\n";
        assert_eq!(own_cgroup(part, cgroups), Some("/mnt/b".into()));
        assert_eq!(own_cgroup(part, "0::/other\n"), None);
    }

    proptest! {
        /// Whatever the folder's name, escaped as the kernel does.
        #[test]
        fn reads_back_every_path(name in "[a-z \t\n\\\\é]{1,20}") {
            let escaped: String = name.chars().map(|c| match c {
                ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", u32::from(c)),
                c => c.to_string(),
            }).collect();
            let line = format!("41 31 0:38 / /{escaped} rw - cgroup2 cgroup2 rw");
            prop_assert_eq!(cgroup2_root(&line), Some(PathBuf::from(format!("/{name}"))));
        }
    }
}

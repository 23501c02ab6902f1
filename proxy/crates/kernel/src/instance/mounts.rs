//! `/proc/self/mountinfo` and `/proc/self/cgroup`.
use std::{
    cmp::Reverse,
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Component, Path, PathBuf},
};

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// The part of the file system that is mounted.
    root: PathBuf,
    at: PathBuf,
    kind: String,
}

/// Where cgroup2 is mounted, beside version 1 or alone.
pub(crate) fn cgroup2_root(mountinfo: &str) -> Option<PathBuf> {
    cgroup2(mountinfo).map(|mount| mount.at)
}

/// Whether this process's cgroup of version 2 is at `root` or below; `None` when its path does not
/// tell, as that of a cgroup namespace below the mount.
pub(crate) fn is_below(mountinfo: &str, cgroups: &str, root: &Path) -> Option<bool> {
    let mount = cgroup2(mountinfo)?;
    let own = Path::new(cgroups.lines().find_map(|line| line.strip_prefix("0::"))?);
    if own.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    if mount.height() > 0 {
        // Wherever the namespace is, it is below the mount.
        return mount.at.starts_with(root).then_some(true);
    }
    let below = own.strip_prefix(&mount.root).ok()?;
    Some(mount.at.join(below).starts_with(root))
}

/// The mount that shows the most: of the whole hierarchy, before one of a part.
fn cgroup2(mountinfo: &str) -> Option<Mount> {
    let mounts: Vec<_> = mountinfo.lines().filter_map(parse).collect();
    let is_seen = |(n, mount): &(usize, &Mount)| {
        // Another one at the same place hides it.
        mount.kind == "cgroup2" && !mounts.iter().skip(n + 1).any(|later| later.at == mount.at)
    };
    let seen = mounts.iter().enumerate().filter(is_seen);
    let most = seen
        .max_by_key(|(n, mount)| (mount.height(), Reverse(mount.root.components().count()), *n));
    most.map(|(_, mount)| mount.clone())
}

impl Mount {
    /// How far above the root of this process's cgroup namespace it begins: `/../..` is two.
    fn height(&self) -> usize {
        self.root.components().filter(|part| *part == Component::ParentDir).count()
    }
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

    /// A container on a machine with nothing but cgroup2, with a namespace of its own: what its
    /// runtime mounts, and over it the machine's by a volume.
    const POD: &str = "\
60 50 0:28 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate
61 50 0:28 /../../.. /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn the_machines_hierarchy_goes_before_that_of_a_container() {
        assert_eq!(cgroup2_root(POD), Some("/sys/fs/cgroup".into()));
        let elsewhere = POD.replace("/../../.. /sys/fs/cgroup", "/../../.. /host/cgroup");
        assert_eq!(cgroup2_root(&elsewhere), Some("/host/cgroup".into()));
        let (mine, theirs) = POD.split_once('\n').unwrap();
        let hidden = format!("{theirs}{mine}\n");
        assert_eq!(cgroup2(&hidden).unwrap().root, Path::new("/"));
    }

    #[test]
    fn says_whether_the_own_cgroup_is_below() {
        let cgroups = "9:name=systemd:/x\n0::/a/b\n";
        let below =
            |mounts: &str, cgroups: &str, root: &str| is_below(mounts, cgroups, Path::new(root));
        let unified = "/sys/fs/cgroup/unified";
        assert_eq!(below(HYBRID, cgroups, unified), Some(true));
        assert_eq!(below(HYBRID, cgroups, &format!("{unified}/a")), Some(true));
        assert_eq!(below(HYBRID, cgroups, &format!("{unified}/c")), Some(false));
        let part = "50 31 0:38 /a /mnt rw - cgroup2 cgroup2 rw\n";
        assert_eq!(below(part, cgroups, "/mnt"), Some(true));
        assert_eq!(below(part, "0::/other\n", "/mnt"), None);
    }

    #[test]
    fn a_namespace_is_below_the_mount_it_is_seen_in_and_nobody_knows_where() {
        let below = |cgroups: &str, root: &str| is_below(POD, cgroups, Path::new(root));
        assert_eq!(below("0::/\n", "/sys/fs/cgroup"), Some(true));
        assert_eq!(below("0::/\n", "/sys/fs/cgroup/kubepods.slice"), None);
        assert_eq!(below("0::/../other\n", "/sys/fs/cgroup"), None);
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

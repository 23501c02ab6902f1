//! The file system of an image: a program and nothing else that could run.
use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use tar::{Builder, EntryType, Header};

use super::{PROGRAM, USER, program::Program};

/// Who there is: the names that tools print, and no way in.
const PASSWD: &str = "\
root:x:0:0:root:/:/sbin/nologin
culvert:x:65532:65532:culvert:/var/lib/culvert:/sbin/nologin
";
const GROUP: &str = "root:x:0:\nculvert:x:65532:\n";

/// Where the bill of materials is.
pub(super) const BILL: &str = "usr/share/culvert/sbom.cdx.json";

/// A file or a folder, and whose it is.
#[derive(Debug)]
struct Entry<'a> {
    /// None: a folder.
    bytes: Option<&'a [u8]>,
    mode: u32,
    owner: u32,
}

/// All of them, in the order of their paths.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    entries: BTreeMap<PathBuf, Entry<'a>>,
}

impl<'a> Tree<'a> {
    /// The file system for `program`, with its bill of materials.
    pub(super) fn new(program: &'a Program, bill: &'a str) -> Self {
        let mut tree = Self { entries: BTreeMap::new() };
        tree.file(PROGRAM.into(), &program.bytes, 0o755);
        for (path, bytes) in &program.libraries {
            tree.file(path.strip_prefix("/").unwrap_or(path).into(), bytes, 0o755);
        }
        tree.file("etc/passwd".into(), PASSWD.as_bytes(), 0o644);
        tree.file("etc/group".into(), GROUP.as_bytes(), 0o644);
        tree.file(BILL.into(), bill.as_bytes(), 0o644);
        // Where it writes, and where file systems of the host are mounted.
        tree.folder("run/culvert".into(), 0o700, USER);
        tree.folder("var/lib/culvert".into(), 0o700, USER);
        tree.folder("tmp".into(), 0o1777, 0);
        for mounted in ["dev", "proc", "sys", "etc/culvert"] {
            tree.folder(mounted.into(), 0o755, 0);
        }
        tree
    }

    /// The layer: a tar in the order of the paths, every file of the same `time`.
    pub(super) fn tar(&self, time: u64) -> Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let mut header = Header::new_ustar();
            let bytes = entry.bytes.unwrap_or_default();
            let kind =
                if entry.bytes.is_some() { EntryType::Regular } else { EntryType::Directory };
            header.set_entry_type(kind);
            header.set_size(bytes.len().try_into()?);
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.into());
            header.set_gid(entry.owner.into());
            header.set_mtime(time);
            tar.append_data(&mut header, path, bytes)?;
        }
        Ok(tar.into_inner()?)
    }

    fn file(&mut self, path: PathBuf, bytes: &'a [u8], mode: u32) {
        self.parents(&path);
        self.entries.insert(path, Entry { bytes: Some(bytes), mode, owner: 0 });
    }

    fn folder(&mut self, path: PathBuf, mode: u32, owner: u32) {
        self.parents(&path);
        self.entries.insert(path, Entry { bytes: None, mode, owner });
    }

    fn parents(&mut self, path: &std::path::Path) {
        for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            let folder = folder.to_owned();
            self.entries.entry(folder).or_insert(Entry { bytes: None, mode: 0o755, owner: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn program() -> Program {
        let libraries = vec![("/lib/x/libc.so.6".into(), b"library".to_vec())];
        Program { bytes: b"program".to_vec(), libraries }
    }

    #[test]
    fn a_tar_has_every_folder_before_what_is_in_it() {
        let program = program();
        let bytes = Tree::new(&program, "{}").tar(7).unwrap();
        let mut seen = vec![PathBuf::new()];
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            assert!(seen.contains(&path.parent().unwrap().to_owned()), "{}", path.display());
            assert!(!seen.contains(&path), "{} is there twice", path.display());
            assert_eq!(entry.header().mtime().unwrap(), 7);
            seen.push(path);
        }
        assert!(seen.contains(&"lib/x/libc.so.6".into()));
    }

    #[test]
    fn the_same_files_are_the_same_bytes() {
        let program = program();
        let tree = Tree::new(&program, "{}");
        assert_eq!(tree.tar(7).unwrap(), Tree::new(&program, "{}").tar(7).unwrap());
        assert_ne!(tree.tar(7).unwrap(), tree.tar(8).unwrap());
    }

    #[test]
    fn only_its_own_folders_are_the_users() {
        let program = program();
        let bytes = Tree::new(&program, "{}").tar(7).unwrap();
        let mut owned = Vec::new();
        let mut passwd = String::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            let mode = entry.header().mode().unwrap();
            assert!(mode & 0o022 == 0 || mode == 0o1777, "{} is open", path.display());
            if entry.header().uid().unwrap() == u64::from(USER) {
                owned.push(path);
            } else if path == std::path::Path::new("etc/passwd") {
                entry.read_to_string(&mut passwd).unwrap();
            }
        }
        assert_eq!(owned, [PathBuf::from("run/culvert"), PathBuf::from("var/lib/culvert")]);
        assert!(passwd.contains(&format!("culvert:x:{USER}:")));
    }
}

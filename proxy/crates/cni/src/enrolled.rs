//! Who is in the mesh, as the node knew it last: a file on the host that decides while the node
//! is away.
//!
//! It lies where the configuration of the plugin lies, so that it is there after a reboot too. A
//! file that is missing says that nobody is in the mesh; one that is not understood says nothing,
//! and then no pod is added.
use crate::{
    call::PodRef,
    replace::{Like, replace},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The version of the file.
const VERSION: u32 = 1;

/// The longest file: a hundred thousand names.
const LONGEST: u64 = 8 << 20;

/// Who is in the mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrolled {
    pub namespaces: BTreeSet<String>,
    /// Of those, pods that are left out, by the uid of their object: no other pod ever has it.
    pub outside: BTreeSet<String>,
}

/// Why the file does not say who is.
#[derive(Debug, thiserror::Error)]
pub enum EnrolledError {
    #[error("cannot read {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{} is of version {version}, which this release does not know", path.display())]
    Version { path: PathBuf, version: u32 },
    #[error("{} is longer than any list of namespaces", path.display())]
    TooLong { path: PathBuf },
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    #[serde(default)]
    namespaces: BTreeSet<String>,
    #[serde(default)]
    outside: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Enrolled {
    /// Whether the pod is in the mesh, as far as one can tell from here: labels of the pod itself
    /// are known only of pods that the node has seen.
    #[must_use]
    pub fn has(&self, pod: &PodRef) -> bool {
        self.namespaces.contains(&pod.namespace)
            && (pod.uid.is_empty() || !self.outside.contains(&pod.uid))
    }

    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is not understood.
    pub fn read(path: &Path) -> Result<Option<Self>, EnrolledError> {
        let io = |source| EnrolledError::Io { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(io)?,
        };
        let mut text = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut text).map_err(io)?;
        if u64::try_from(text.len()).is_ok_and(|length| length > LONGEST) {
            return Err(EnrolledError::TooLong { path: path.to_owned() });
        }
        Self::parse(path, &text).map(Some)
    }

    /// Reads its text; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// When it is not understood.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, EnrolledError> {
        let damaged = |source| EnrolledError::Damaged { path: path.to_owned(), source };
        let Versioned { version } = serde_json::from_slice(text).map_err(damaged)?;
        if version != VERSION {
            return Err(EnrolledError::Version { path: path.to_owned(), version });
        }
        let Written { namespaces, outside, .. } = serde_json::from_slice(text).map_err(damaged)?;
        Ok(Self { namespaces, outside })
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let Self { namespaces, outside } = self.clone();
        // Plain lists of text always serialize.
        let mut text = serde_json::to_vec(&Written { version: VERSION, namespaces, outside })
            .unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Replaces the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the one before is still there then.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &self.text(), Like::PUBLIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn pod(namespace: &str, uid: &str) -> PodRef {
        PodRef { namespace: namespace.to_owned(), name: "cart".to_owned(), uid: uid.to_owned() }
    }

    #[test]
    fn a_namespace_decides_and_a_pod_that_was_left_out_is() {
        let enrolled =
            Enrolled { namespaces: ["shop".to_owned()].into(), outside: ["7".to_owned()].into() };
        assert!(enrolled.has(&pod("shop", "8")) && enrolled.has(&pod("shop", "")));
        assert!(!enrolled.has(&pod("shop", "7")) && !enrolled.has(&pod("bank", "8")));
    }

    #[test]
    fn a_missing_file_enrols_nobody_and_a_damaged_one_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enrolled");
        assert!(Enrolled::read(&path).unwrap().is_none());
        for text in
            ["", "{", "[]", "{\"version\":\"1\"}", "{\"version\":1,\"namespaces\":\"shop\"}"]
        {
            fs::write(&path, text).unwrap();
            let error = Enrolled::read(&path).unwrap_err();
            assert!(matches!(error, EnrolledError::Damaged { .. }), "{text}: {error}");
        }
        fs::write(&path, "{\"version\":2,\"members\":[]}").unwrap();
        let error = Enrolled::read(&path).unwrap_err();
        assert!(error.to_string().ends_with("is of version 2, which this release does not know"));
    }

    #[test]
    fn it_is_replaced_whole_and_nothing_is_left_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enrolled");
        for name in ["shop", "bank"] {
            let enrolled = Enrolled { namespaces: [name.to_owned()].into(), ..Enrolled::default() };
            enrolled.write(&path).unwrap();
            assert_eq!(Enrolled::read(&path).unwrap(), Some(enrolled));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        // A folder in its place: the file beside is taken away again.
        let taken = dir.path().join("taken");
        fs::create_dir_all(taken.join("x")).unwrap();
        Enrolled::default().write(&taken).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            namespaces in prop::collection::btree_set("[a-z0-9-]{1,63}", 0..20),
            outside in prop::collection::btree_set("[0-9a-f-]{36}", 0..20),
        ) {
            let enrolled = Enrolled { namespaces, outside };
            prop_assert_eq!(Enrolled::parse(Path::new("x"), &enrolled.text()).unwrap(), enrolled);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<Vec<u8>>()) {
            drop(Enrolled::parse(Path::new("x"), &text));
        }
    }
}

//! What is around an engine's resources: `identity`, which keeps private keys, and the files that
//! the node was told to share; nothing else of it.
use culvert_identity::edge::key;
use culvert_model::http::secret::KeyHandle;
use culvert_xds::envoy::decode::Around;
use std::{fs, path::Path, sync::Arc};

/// A node, of which whoever serves L7 sees nothing but what is below one folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Here {
    pub(crate) credentials: Option<Arc<Path>>,
}

impl Around for Here {
    fn key(
        &self,
        chain: &[Arc<[u8]>],
        pem: &[u8],
        password: Option<&[u8]>,
    ) -> Result<KeyHandle, String> {
        key::keep(chain, pem, password).map_err(|error| error.to_string())
    }

    fn ticket_keys(&self, _: &[Vec<u8>]) -> Result<KeyHandle, String> {
        Ok(KeyHandle::new(Arc::new(())))
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        let Some(folder) = &self.credentials else {
            return Err(format!("{path}: `credentials_dir` is not set: no files are read"));
        };
        let real = |path: &Path| {
            fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let (folder, file) = (real(folder)?, real(Path::new(path))?);
        if !file.starts_with(&folder) {
            return Err(format!("{path}: only what is below {} is read", folder.display()));
        }
        fs::read(file).map_err(|error| format!("{path}: {error}"))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_read_but_what_is_below_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir_all(path("shared/data")).unwrap();
        fs::write(path("shared/data/root.pem"), "root").unwrap();
        fs::write(path("secret"), "secret").unwrap();
        // As Kubernetes mounts a Secret, and as nobody should.
        symlink("data/root.pem", path("shared/root.pem")).unwrap();
        symlink("../secret", path("shared/other.pem")).unwrap();
        let read = |here: &Here, name: &str| here.file(path(name).to_str().unwrap());
        let here = Here { credentials: Some(path("shared").into()) };
        assert_eq!(read(&here, "shared/root.pem").unwrap(), b"root");
        for name in ["secret", "shared/../secret", "shared/other.pem", "shared/missing.pem"] {
            assert!(read(&here, name).is_err(), "{name}");
        }
        assert!(read(&Here::default(), "shared/root.pem").is_err());
    }
}

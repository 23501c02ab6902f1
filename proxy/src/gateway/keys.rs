//! What is around resources: files, variables, and `identity`, which keeps private keys.
use culvert_identity::edge::key;
use culvert_model::http::secret::KeyHandle;
use culvert_xds::envoy::decode::Around;
use std::{env, fs, sync::Arc};

/// This process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process;

impl Around for Process {
    fn key(
        &self,
        chain: &[Arc<[u8]>],
        pem: &[u8],
        password: Option<&[u8]>,
    ) -> Result<KeyHandle, String> {
        key::keep(chain, pem, password).map_err(|error| error.to_string())
    }

    /// Tickets are of our own making; these are taken and not used.
    fn ticket_keys(&self, keys: &[Vec<u8>]) -> Result<KeyHandle, String> {
        match keys.iter().find(|key| key.len() != 80) {
            Some(key) => Err(format!("a key of {} bytes; 80 are wanted", key.len())),
            None => Ok(KeyHandle::new(Arc::new(()))),
        }
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))
    }

    #[expect(clippy::disallowed_methods, reason = "no setting: whichever a resource names")]
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }
}

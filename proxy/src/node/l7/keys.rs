//! What is around an engine's resources: `identity`, which keeps private keys; and nothing else of
//! the node.
use culvert_identity::edge::key;
use culvert_model::http::secret::KeyHandle;
use culvert_xds::envoy::decode::Around;
use std::sync::Arc;

/// A node, of which whoever serves L7 sees nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here;

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
        Err(format!("{path}: files of the node are not read; send it inline or by SDS"))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

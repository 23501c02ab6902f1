//! What is around a resource: files it names, and who keeps private keys.
use culvert_model::http::secret::KeyHandle;
use culvert_proto::api::google::protobuf::Any;
use std::{cell::Cell, collections::BTreeSet, fmt, sync::Arc};

/// What decoding asks of the world; a test has another one than a process.
pub trait Around {
    /// Takes in a private key of PEM for a chain of DER certificates, the leaf first.
    ///
    /// # Errors
    ///
    /// When it is no key, or not the leaf's.
    fn key(
        &self,
        chain: &[Arc<[u8]>],
        key: &[u8],
        password: Option<&[u8]>,
    ) -> Result<KeyHandle, String>;

    /// Takes in keys of TLS tickets, 80 bytes each.
    ///
    /// # Errors
    ///
    /// When they are none.
    fn ticket_keys(&self, keys: &[Vec<u8>]) -> Result<KeyHandle, String>;

    /// # Errors
    ///
    /// When it cannot be read.
    fn file(&self, path: &str) -> Result<Vec<u8>, String>;

    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether there is an aggregated stream to ask.
    fn has_ads(&self) -> bool {
        true
    }

    /// Whether the bootstrap has a secret of this name.
    fn has_secret(&self, _name: &str) -> bool {
        true
    }
}

/// The same, of a process with a bootstrap: what only that can have.
#[derive(Debug)]
pub struct Bootstrapped {
    around: Arc<dyn Around + Send + Sync>,
    ads: bool,
    secrets: BTreeSet<String>,
}

impl Bootstrapped {
    /// `ads`: there is an aggregated stream; `secrets`: the bootstrap's own.
    pub fn of(around: Arc<dyn Around + Send + Sync>, ads: bool, secrets: &[Any]) -> Self {
        let secrets = secrets.iter().filter_map(super::name).collect();
        Self { around, ads, secrets }
    }
}

impl Around for Bootstrapped {
    fn key(
        &self,
        chain: &[Arc<[u8]>],
        key: &[u8],
        password: Option<&[u8]>,
    ) -> Result<KeyHandle, String> {
        self.around.key(chain, key, password)
    }

    fn ticket_keys(&self, keys: &[Vec<u8>]) -> Result<KeyHandle, String> {
        self.around.ticket_keys(keys)
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        self.around.file(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.around.variable(name)
    }

    fn has_ads(&self) -> bool {
        self.ads
    }

    fn has_secret(&self, name: &str) -> bool {
        self.secrets.contains(name)
    }
}

/// Notes whether the world was asked: what was made of bytes alone can be made of them again.
pub struct Asking<'a> {
    around: &'a dyn Around,
    asked: Cell<bool>,
}

impl<'a> Asking<'a> {
    pub fn of(around: &'a dyn Around) -> Self {
        Self { around, asked: Cell::new(false) }
    }

    pub fn has_asked(&self) -> bool {
        self.asked.get()
    }

    fn ask(&self) -> &dyn Around {
        self.asked.set(true);
        self.around
    }
}

impl Around for Asking<'_> {
    fn key(
        &self,
        chain: &[Arc<[u8]>],
        key: &[u8],
        password: Option<&[u8]>,
    ) -> Result<KeyHandle, String> {
        self.ask().key(chain, key, password)
    }

    fn ticket_keys(&self, keys: &[Vec<u8>]) -> Result<KeyHandle, String> {
        self.ask().ticket_keys(keys)
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        self.ask().file(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.ask().variable(name)
    }

    // A bootstrap does not change.
    fn has_ads(&self) -> bool {
        self.around.has_ads()
    }

    fn has_secret(&self, name: &str) -> bool {
        self.around.has_secret(name)
    }
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asking").field(&self.asked).finish()
    }
}

/// A world with nothing in it, that takes any key.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Around for Nothing {
    fn key(&self, _: &[Arc<[u8]>], _: &[u8], _: Option<&[u8]>) -> Result<KeyHandle, String> {
        Ok(KeyHandle::new(Arc::new(())))
    }

    fn ticket_keys(&self, _: &[Vec<u8>]) -> Result<KeyHandle, String> {
        Ok(KeyHandle::new(Arc::new(())))
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("there is no file {path}"))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

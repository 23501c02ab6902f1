//! Where the keys of both directions come from.
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Algorithm};
use parking_lot::Mutex;
use rustls::{
    ConnectionTrafficSecrets, Error, client::ClientConnectionData, kernel::KernelConnection,
    server::ServerConnectionData,
};
use std::{fmt, sync::Arc};

/// The secrets of one connection, from which the next keys of either direction are made.
#[derive(Clone)]
pub(super) struct Keys(Arc<Mutex<Secrets>>);

/// Of whichever end we are.
pub(super) enum Secrets {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// What one direction is protected with for a while.
pub(super) struct Traffic {
    pub(super) algorithm: &'static Algorithm,
    pub(super) key: rustls::crypto::cipher::AeadKey,
    pub(super) iv: [u8; 12],
}

impl Keys {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self(Arc::new(Mutex::new(secrets)))
    }

    /// Whether it was we who asked for the connection.
    pub(super) fn is_client(&self) -> bool {
        matches!(*self.0.lock(), Secrets::Client(_))
    }

    /// What we seal with from now on.
    pub(super) fn next_to_seal(&self) -> Result<Traffic, Error> {
        let (_, secrets) = match &mut *self.0.lock() {
            Secrets::Client(kept) => kept.update_tx_secret()?,
            Secrets::Server(kept) => kept.update_tx_secret()?,
        };
        Traffic::of(secrets)
    }

    /// What the peer seals with from now on.
    pub(super) fn next_to_open(&self) -> Result<Traffic, Error> {
        let (_, secrets) = match &mut *self.0.lock() {
            Secrets::Client(kept) => kept.update_rx_secret()?,
            Secrets::Server(kept) => kept.update_rx_secret()?,
        };
        Traffic::of(secrets)
    }
}

impl Traffic {
    pub(super) fn of(secrets: ConnectionTrafficSecrets) -> Result<Self, Error> {
        let (algorithm, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { .. } | _ => {
                return Err(Error::General("a cipher that is not offered".to_owned()));
            }
        };
        let iv = iv.as_ref().try_into().map_err(|_other| Error::EncryptError)?;
        Ok(Self { algorithm, key, iv })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

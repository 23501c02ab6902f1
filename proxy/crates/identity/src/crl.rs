//! Revoked certificates, from a file that is watched.
use crate::{
    armor::{self, PemError},
    follow::{Contents, Files, follow},
    trust::TrustStore,
};
use culvert_runtime::drain::Worker;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use webpki::{CertRevocationList, OwnedCertRevocationList};

/// How often the file is looked at; open connections are re-checked when it changed.
const LOOK: Duration = Duration::from_secs(1);

/// Why a file of revocation lists cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CrlError {
    #[error("cannot read the revocation lists in {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the revocation lists")]
    Pem(#[from] PemError),
    #[error("revocation list {index} cannot be read: {reason}")]
    List { index: usize, reason: String },
}

/// Reads the lists in `path` (PEM, or one in DER) into `trust`, and again when they change.
///
/// Lists that cannot be read leave those in force that were read before: what is revoked stays so.
/// What a list says of which certificate is decided at the handshake: see [`verify`](crate::verify).
///
/// # Errors
///
/// When they cannot be read to begin with: a proxy that was told to look for revoked
/// certificates does not start without knowing them.
pub fn watch(path: &Path, trust: &TrustStore, worker: &Worker) -> Result<(), CrlError> {
    let files = Files::open(&[path]).map_err(|(path, source)| CrlError::Read { path, source })?;
    trust.set_crls(parse(files.contents())?);
    let trust = trust.clone();
    let apply = move |lists| trust.set_crls(lists);
    worker.spawn(follow(files, LOOK, worker.clone(), parse, apply));
    Ok(())
}

fn parse(contents: &Contents) -> Result<Vec<CertRevocationList<'static>>, CrlError> {
    let mut lists = Vec::new();
    for text in contents {
        for der in armor::revocation_lists(text)? {
            let index = lists.len();
            let list = OwnedCertRevocationList::from_der(&der)
                .map_err(|error| CrlError::List { index, reason: error.to_string() })?;
            lists.push(list.into());
        }
    }
    Ok(lists)
}

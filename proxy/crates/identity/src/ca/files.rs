//! Where an authority comes from: a file it keeps itself, or files somebody gives it.
use super::{Authority, AuthorityError, bundle};
use crate::{
    follow::{Contents, Files, follow},
    secret::{self, SecretError},
};
use culvert_runtime::{
    drain::Worker,
    publish::{self, View},
};
use rustls_pki_types::UnixTime;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How often given files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The files of a given authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The certificate that signs, then what leads from it to a root.
    pub chain: PathBuf,
    pub key: PathBuf,
    /// All roots to believe; both while one replaces another.
    pub roots: PathBuf,
}

/// Why an authority could not be had from files.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the authority in {} cannot be used", .path.display())]
    Authority {
        path: PathBuf,
        #[source]
        source: AuthorityError,
    },
}

impl Given {
    /// The names that Istio's `cacerts` secret has.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        let [chain, key, roots] =
            [bundle::CHAIN, bundle::KEY, bundle::ROOTS].map(|name| folder.join(name));
        Self { chain, key, roots }
    }

    /// Reads the authority as it is now.
    ///
    /// # Errors
    ///
    /// When it cannot be used.
    pub fn read(&self, trust_domain: &str) -> Result<Authority, FilesError> {
        let files = Files::open(&[&self.chain, &self.key, &self.roots])
            .map_err(|(path, source)| FilesError::Read { path, source })?;
        parse(trust_domain, files.contents())
            .map_err(|source| FilesError::Authority { path: self.chain.clone(), source })
    }

    /// Reads the authority and keeps it fresh: files replaced in place take over within seconds.
    ///
    /// What does not fit together, as files half replaced do not, changes nothing and is logged.
    ///
    /// # Errors
    ///
    /// When it cannot be used to begin with.
    pub fn follow(
        &self,
        trust_domain: &str,
        worker: &Worker,
    ) -> Result<View<Arc<Authority>>, FilesError> {
        let files = Files::open(&[&self.chain, &self.key, &self.roots])
            .map_err(|(path, source)| FilesError::Read { path, source })?;
        let parse = {
            let (trust_domain, path) = (trust_domain.to_owned(), self.chain.clone());
            move |contents: &Contents| {
                parse(&trust_domain, contents)
                    .map_err(|source| FilesError::Authority { path: path.clone(), source })
            }
        };
        let (mut publisher, view) = publish::channel(Arc::new(parse(files.contents())?));
        let apply = move |authority| _ = publisher.publish(Arc::new(authority));
        worker.spawn(follow(files, LOOK, worker.clone(), parse, apply));
        Ok(view)
    }
}

fn parse(trust_domain: &str, contents: &Contents) -> Result<Authority, AuthorityError> {
    let [chain, key, roots] = &**contents else {
        return Err(AuthorityError::Encoding("not three files".to_owned()));
    };
    let key = str::from_utf8(key).map_err(|error| AuthorityError::Key(error.to_string()))?;
    Authority::from_pem(trust_domain, key, chain, roots)
}

/// Reads the authority kept at `path`; makes one first where there is none.
///
/// The file holds the key, the certificate that signs, and all roots; whoever replaces it gives
/// the mesh another root at the next start.
///
/// # Errors
///
/// When the file cannot be read or written, others may read it, or its content does not fit.
pub fn kept(path: &Path, trust_domain: &str, now: UnixTime) -> Result<Authority, FilesError> {
    let of = |source| FilesError::Authority { path: path.to_owned(), source };
    let made = || Ok(Authority::new_root(trust_domain, now).map_err(of)?.to_pem());
    let text = secret::kept::<FilesError>(path, made)?;
    // The first certificate signs; that it is a root makes all of them roots.
    Authority::from_pem(trust_domain, &text, text.as_bytes(), text.as_bytes()).map_err(of)
}

#[cfg(test)]
mod tests;

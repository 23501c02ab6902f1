//! Where an authority comes from: a file it keeps itself, or files somebody gives it.
use super::{Authority, AuthorityError};
use crate::follow::{Contents, Files, follow};
use culvert_runtime::{
    drain::Worker,
    publish::{self, View},
};
use rustls_pki_types::UnixTime;
use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
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
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others can read {path}, which holds a private key; chmod 600 it, or make a new one")]
    Open { path: PathBuf },
    #[error("the authority in {path} cannot be used")]
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
            ["ca-cert.pem", "ca-key.pem", "root-cert.pem"].map(|name| folder.join(name));
        Self { chain, key, roots }
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
    match read_kept(path, trust_domain) {
        Err(FilesError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let of = |source| FilesError::Authority { path: path.to_owned(), source };
    let made = Authority::new_root(trust_domain, now).map_err(of)?;
    match write_kept(path, &made.to_pem()) {
        Ok(()) => Ok(made),
        // Another process was quicker: its root is the one.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read_kept(path, trust_domain),
        Err(source) => Err(FilesError::Write { path: path.to_owned(), source }),
    }
}

fn read_kept(path: &Path, trust_domain: &str) -> Result<Authority, FilesError> {
    let read = |source| FilesError::Read { path: path.to_owned(), source };
    let meta = fs::metadata(path).map_err(read)?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(FilesError::Open { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(read)?;
    let of = |source| FilesError::Authority { path: path.to_owned(), source };
    // The first certificate signs; that it is a root makes all of them roots.
    Authority::from_pem(trust_domain, &text, text.as_bytes(), text.as_bytes()).map_err(of)
}

/// Writes a file that nobody else can read, whole or not at all, and never over another.
fn write_kept(path: &Path, text: &str) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = folder.join(name);
    let written = write_new(&new, text).and_then(|()| fs::hard_link(&new, path));
    // The link made, the first name has served.
    let removed = fs::remove_file(&new);
    written.and(removed)?;
    OpenOptions::new().read(true).open(folder)?.sync_all()
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;

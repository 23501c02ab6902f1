//! Certificates and trust in files.
use super::Source;
use crate::envoy::{
    decode::{self, Around},
    kind::Kind,
    stream::Wanted,
};
use culvert_model::http::{
    secret::{Certificate, CertificateFiles, Secret, SecretSource},
    source::WatchedFile,
    tls::{Revoked, Trust, Validation},
};
use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

/// Reads the files whenever something happens in their directories.
pub(super) async fn follow(mut source: Source, files: SecretSource) {
    let directories = directories(&files);
    let mut changes = match super::disk::Changes::of(directories.iter().map(PathBuf::as_path)) {
        Ok(changes) => changes,
        Err(error) => {
            source.shared.failed(&source.asked, &format!("cannot be watched: {error}"));
            super::disk::Changes::never()
        }
    };
    loop {
        let wants = source.wants.borrow_and_update().clone();
        if let Some(Wanted::Names(names)) = wants.get(&Kind::Secret) {
            let around = source.shared.assembler.lock().around();
            match read(&*around, &files) {
                Ok(secret) => {
                    let mut assembler = source.shared.assembler.lock();
                    for name in names {
                        let name = Arc::clone(name);
                        let asked = source.asked.clone();
                        assembler.set_secret(name, asked, secret.clone(), super::now());
                    }
                    drop(assembler);
                    source.shared.connected(&source.asked);
                }
                Err(what) => {
                    let mut assembler = source.shared.assembler.lock();
                    for name in names {
                        assembler.set_absent((Kind::Secret, Arc::clone(name)));
                    }
                    drop(assembler);
                    source.shared.failed(&source.asked, &what);
                }
            }
            source.shared.changed.notify_one();
        }
        tokio::select! {
            changed = source.wants.changed() => if changed.is_err() { return },
            () = changes.next() => {}
        }
    }
}

/// What the files hold.
///
/// # Errors
///
/// When one cannot be read, or does not hold what it should.
pub(super) fn read(around: &dyn Around, files: &SecretSource) -> Result<Secret, String> {
    match files {
        SecretSource::Certificate(files) => {
            certificate(around, files).map(|read| Secret::Certificate(Arc::new(read)))
        }
        SecretSource::Trust(WatchedFile { path, .. }) => {
            let certificates = decode::certificates(&around.file(path)?)
                .map_err(|what| format!("{path} {what}"))?;
            let trusted = Some(Trust::Certificates(certificates));
            let validation = Validation { trusted, ..Validation::default() };
            Ok(Secret::Validation(Arc::new(validation)))
        }
        SecretSource::Revoked(WatchedFile { path, .. }) => {
            let lists = decode::revocation_lists(&around.file(path)?)
                .map_err(|what| format!("{path} {what}"))?;
            let revoked = Some(Revoked::Lists(lists));
            let validation = Validation { revoked, ..Validation::default() };
            Ok(Secret::Validation(Arc::new(validation)))
        }
        SecretSource::Static | SecretSource::Sds(_) => Err("is in no file".to_owned()),
    }
}

fn certificate(around: &dyn Around, files: &CertificateFiles) -> Result<Certificate, String> {
    let CertificateFiles { chain, key, ocsp_staple, directory: _ } = files;
    let of_chain = around.file(chain)?;
    let of_chain = decode::certificates(&of_chain).map_err(|what| format!("{chain} {what}"))?;
    let of_key =
        around.key(&of_chain, &around.file(key)?, None).map_err(|what| format!("{key}: {what}"))?;
    let ocsp_staple = match ocsp_staple {
        Some(path) => Some(around.file(path)?.into()),
        None => None,
    };
    Ok(Certificate { chain: of_chain, key: of_key, ocsp_staple })
}

fn directories(files: &SecretSource) -> BTreeSet<PathBuf> {
    let (paths, directory): (Vec<&Arc<str>>, _) = match files {
        SecretSource::Certificate(files) => (
            [&files.chain, &files.key].into_iter().chain(&files.ocsp_staple).collect(),
            &files.directory,
        ),
        SecretSource::Trust(file) | SecretSource::Revoked(file) => {
            (vec![&file.path], &file.directory)
        }
        SecretSource::Static | SecretSource::Sds(_) => (Vec::new(), &None),
    };
    let own = paths.into_iter().filter_map(|path| {
        let parent = std::path::Path::new(&**path).parent()?;
        let is_here = parent.as_os_str().is_empty();
        Some(if is_here { PathBuf::from(".") } else { parent.to_owned() })
    });
    own.chain(directory.as_deref().map(PathBuf::from)).collect()
}

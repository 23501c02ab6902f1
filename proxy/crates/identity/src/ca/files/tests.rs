use super::*;
use culvert_runtime::drain::Drain;
use rustls_pki_types::CertificateDer;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000))
}

fn root(authority: &Authority) -> CertificateDer<'static> {
    authority.roots()[0].clone()
}

#[test]
fn a_root_is_made_once_and_only_we_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/ca.pem");
    let made = kept(&path, "td", now()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = kept(&path, "td", now()).unwrap();
    assert_eq!(root(&made), root(&again));
    assert_eq!(made.signing.key().serialized_der(), again.signing.key().serialized_der());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn refuses_a_kept_key_that_others_can_read_or_that_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    kept(&path, "td", now()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(kept(&path, "td", now()), Err(FilesError::Secret(SecretError::Open { .. }))));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "no key").unwrap();
    assert!(matches!(kept(&path, "td", now()), Err(FilesError::Authority { .. })));
}

#[test]
fn makers_that_race_end_with_one_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let other = Authority::new_root("td", now()).unwrap();
    let slow = || {
        kept(&path, "td", now()).unwrap();
        Ok::<_, SecretError>(other.to_pem())
    };
    let text = secret::kept(&path, slow).unwrap();
    assert_ne!(text, other.to_pem());
    assert_eq!(text, fs::read_to_string(&path).unwrap());
}

/// Writes the files of `authority`, which believes `roots`.
fn give(given: &Given, authority: &Authority, roots: &[&Authority]) {
    let roots: Vec<_> = roots.iter().map(|one| root(one)).collect();
    fs::write(&given.chain, crate::armor::write(&[root(authority)])).unwrap();
    fs::write(&given.key, authority.signing.key().serialize_pem()).unwrap();
    fs::write(&given.roots, crate::armor::write(&roots)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn given_files_are_followed_when_they_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let given = Given::in_folder(folder.path());
    let [old, new] = [(); 2].map(|()| Authority::new_root("td", now()).unwrap());
    give(&given, &old, &[&old]);
    let drain = Drain::default();
    let mut view = given.follow("td", &drain.worker()).unwrap();
    let first = view.pin();

    // The key is the new one, the certificate still the old one: half replaced.
    fs::write(&given.key, new.signing.key().serialize_pem()).unwrap();
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(view.pin().generation, first.generation);

    give(&given, &new, &[&new, &old]);
    let second = view.newer_than(first.generation).await.unwrap();
    assert_eq!(second.value.roots(), [root(&new), root(&old)]);

    fs::remove_file(&given.roots).unwrap();
    tokio::time::sleep(LOOK * 3).await;
    assert_eq!(view.pin().generation, second.generation);
    assert_eq!(drain.drain(LOOK).await, culvert_runtime::drain::Drained::Clean);
}

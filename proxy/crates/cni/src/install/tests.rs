//! Folders as they are found.
use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use tempfile::TempDir;

const LIST: &str = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"}]}"#;

fn entry() -> Entry {
    Entry { instance: "node".to_owned(), socket: "/a".into(), enrolled: "/b".into() }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn listed(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn what_is_installed_is_removed_and_all_is_as_it_was() {
    let dir =
        folder(&[("10-pods.conflist", LIST), ("20-x.conf", "{}"), ("calico-kubeconfig", "k")]);
    let before = listed(dir.path());
    let path = dir.path().join("10-pods.conflist");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let chained = put_entry(dir.path(), &entry()).unwrap();
    assert_eq!((chained.file.as_deref(), chained.changed), (Some(&*path), true));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(!put_entry(dir.path(), &entry()).unwrap().changed);
    assert!(take_entry(dir.path(), "node").unwrap().changed);
    assert_eq!(listed(dir.path()), before);
    assert!(!take_entry(dir.path(), "node").unwrap().changed);
}

#[test]
fn a_cni_that_is_not_there_yet_is_no_error_and_a_missing_folder_is() {
    let dir = folder(&[("10-garbage.conflist", "{")]);
    let chained = put_entry(dir.path(), &entry()).unwrap();
    assert_eq!((chained.file, chained.faults.len()), (None, 1));
    let error = put_entry(&dir.path().join("none"), &entry()).unwrap_err();
    assert!(error.next().starts_with("make the folder"), "{error}");
}

#[test]
fn a_link_stays_a_link() {
    let (real, dir) = (folder(&[("pods", LIST)]), folder(&[]));
    let link = dir.path().join("10-pods.conflist");
    symlink(real.path().join("pods"), &link).unwrap();
    put_entry(dir.path(), &entry()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(real.path().join("pods")).unwrap().contains(NAME));
}

#[test]
fn a_program_that_does_not_run_is_not_put_there() {
    let dir = folder(&[("good", "#!/bin/sh\necho '{\"supportedVersions\":[]}'\n"), ("bad", "x")]);
    let bin = folder(&[(NAME, "before")]);
    let error = put_program(&dir.path().join("bad"), bin.path()).unwrap_err();
    assert!(matches!(error, InstallError::DoesNotRun { .. }), "{error}");
    assert_eq!(listed(bin.path()), [(NAME.to_owned(), b"before".to_vec())].into());
    assert!(put_program(&dir.path().join("good"), bin.path()).unwrap());
    assert!(!put_program(&dir.path().join("good"), bin.path()).unwrap());
    let mode = fs::metadata(bin.path().join(NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let conf = folder(&[("10-pods.conflist", LIST)]);
    put_entry(conf.path(), &entry()).unwrap();
    assert!(!take_program(bin.path(), Some(conf.path())).unwrap(), "somebody needs it");
    take_entry(conf.path(), "node").unwrap();
    assert!(take_program(bin.path(), Some(conf.path())).unwrap());
    assert_eq!(listed(bin.path()).len(), 0);
}

#[test]
fn a_full_disk_leaves_every_file_as_it_was() {
    // A file system of one page that is full: root is held to it too.
    let dir = folder(&[]);
    let mounted = nix::mount::mount(
        Some("tmpfs"),
        dir.path(),
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        Some("size=8k"),
    );
    if mounted.is_err() {
        // Only root can mount; the suites with root run this.
        return;
    }
    fs::write(dir.path().join("10-pods.conflist"), LIST).unwrap();
    fs::write(dir.path().join("full"), [0; 4096]).unwrap();
    let before = listed(dir.path());
    let error = put_entry(dir.path(), &entry()).unwrap_err();
    let after = listed(dir.path());
    nix::mount::umount(dir.path()).unwrap();
    assert!(error.next().starts_with("free some space"), "{error:?}");
    assert_eq!(after, before);
}

#[test]
fn places_are_read_as_they_were_recorded() {
    let dir = folder(&[]);
    assert_eq!(Places::recorded(dir.path()), Places::default());
    let places = Places { bin_dir: Some("/opt/cni/bin".into()), conf_dir: None };
    places.record(dir.path()).unwrap();
    assert_eq!(Places::recorded(dir.path()), places);
}

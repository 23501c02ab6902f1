//! Changes of files and folders while the control plane runs.
use crate::story::{NAMESPACE, Story, pod};
use culvert_control::{control::StartError, object::Because};
use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    path::Path,
    time::SystemTime,
};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("namespace.yaml"), NAMESPACE).unwrap();
    folder
}

#[tokio::test]
async fn files_are_created_changed_and_deleted() {
    let folder = folder();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    assert_eq!(story.pods(), [""; 0]);
    let file = folder.path().join("pods.yaml");
    fs::write(&file, pod("a", 1)).unwrap();
    story.holds(&["a"]).await;
    fs::write(&file, [pod("a", 1), pod("b", 2)].join("---\n")).unwrap();
    story.holds(&["a", "b"]).await;
    fs::remove_file(&file).unwrap();
    story.holds(&[]).await;
    story.end().await;
}

#[tokio::test]
async fn an_editor_saves_by_renaming() {
    let folder = folder();
    let file = folder.path().join("pods.yaml");
    fs::write(&file, pod("a", 1)).unwrap();
    // Named itself, beside the folder: read once, and followed through the rename.
    let mut story = Story::start(&[folder.path(), &file]).await.unwrap();
    for (name, ip) in [("b", 2), ("c", 3)] {
        let beside = folder.path().join(".pods.yaml.swp");
        fs::write(&beside, pod(name, ip)).unwrap();
        fs::rename(&beside, &file).unwrap();
        story.holds(&[name]).await;
    }
    story.end().await;
}

#[tokio::test]
async fn a_named_file_is_followed_through_deletion_and_renaming() {
    let folder = folder();
    let (namespace, file) = (folder.path().join("namespace.yaml"), folder.path().join("pod"));
    fs::write(&file, pod("a", 1)).unwrap();
    let mut story = Story::start(&[&namespace, &file]).await.unwrap();
    story.holds(&["a"]).await;
    fs::remove_file(&file).unwrap();
    let status = story.until(|status| status.refused.is_some()).await;
    let problem = &status.refused.as_ref().unwrap().problems[0];
    assert_eq!(problem.message, "no such file or folder");
    story.holds(&["a"]).await;
    fs::write(folder.path().join("new"), pod("b", 2)).unwrap();
    fs::rename(folder.path().join("new"), &file).unwrap();
    story.holds(&["b"]).await;
    assert_eq!(story.control.status().refused, None);
    story.end().await;
}

/// How the kubelet changes the files of a mounted `ConfigMap`.
#[tokio::test]
async fn kubernetes_swaps_a_link_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let version = |name: &str, pods: &str| {
        fs::create_dir(at(name)).unwrap();
        fs::write(at(name).join("all.yaml"), [NAMESPACE, pods].join("---\n")).unwrap();
        symlink(name, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    version("..1", &pod("a", 1));
    symlink("..data/all.yaml", at("all.yaml")).unwrap();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    story.holds(&["a"]).await;
    for (i, name) in [(2, "b"), (3, "c"), (4, "d")] {
        version(&format!("..{i}"), &pod(name, i));
        fs::remove_dir_all(at(&format!("..{}", i - 1))).unwrap();
        story.holds(&[name]).await;
    }
    story.end().await;
}

#[tokio::test]
async fn folders_appear_and_go() {
    let folder = folder();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    let inner = folder.path().join("team/web");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("pod.json"), pod("a", 1).replace("apiVersion", "\"apiVersion\"")).unwrap();
    story.holds(&["a"]).await;
    fs::write(inner.join("b.yml"), pod("b", 2)).unwrap();
    story.holds(&["a", "b"]).await;
    fs::rename(folder.path().join("team"), folder.path().join(".hidden")).unwrap();
    story.holds(&[]).await;
    fs::rename(folder.path().join(".hidden"), folder.path().join("crew")).unwrap();
    story.holds(&["a", "b"]).await;
    // Still watched under its new name.
    fs::remove_file(folder.path().join("crew/web/b.yml")).unwrap();
    story.holds(&["a"]).await;
    story.end().await;
}

#[tokio::test]
async fn a_set_survives_that_its_folder_goes_and_comes_back() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("manifests");
    let fill = |folder: &Path, pods: &str| {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("all.yaml"), [NAMESPACE, pods].join("---\n")).unwrap();
    };
    fill(&folder, &pod("a", 1));
    let mut story = Story::start(&[&folder]).await.unwrap();
    fs::rename(&folder, outer.path().join("aside")).unwrap();
    story.until(|status| status.refused.is_some()).await;
    assert_eq!(story.pods(), ["a"]);
    fill(&folder, &pod("b", 2));
    story.holds(&["b"]).await;
    story.end().await;
}

#[tokio::test]
async fn a_bad_change_is_refused_whole_and_told() {
    let folder = folder();
    let file = folder.path().join("pods.yaml");
    fs::write(&file, pod("a", 1)).unwrap();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    let generation = story.control.status().generation;
    fs::write(folder.path().join("more.yaml"), pod("b", 2)).unwrap();
    story.holds(&["a", "b"]).await;
    fs::write(&file, [pod("c", 3), pod("d", 3)].join("---\n")).unwrap();
    let status = story.until(|status| status.refused.is_some()).await;
    let problems = &status.refused.as_ref().unwrap().problems;
    let told = problems[0].to_string().replace(&folder.path().display().to_string(), "");
    insta::assert_snapshot!(told.lines().next().unwrap(), @"/pods.yaml:3:131: the address 10.0.0.3 is already that of shop/c (/pods.yaml:1)");
    assert_eq!(story.pods(), ["a", "b"]);
    assert_eq!(status.generation, generation + 1);
    // What was refused is mended by a further change.
    fs::write(&file, pod("c", 3)).unwrap();
    story.holds(&["b", "c"]).await;
    assert_eq!(story.control.status().refused, None);
    story.end().await;
}

#[tokio::test]
async fn a_file_that_is_half_written_is_waited_for() {
    let folder = folder();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    let mut file = File::create(folder.path().join("pods.yaml")).unwrap();
    let text = [pod("a", 1), pod("b", 2)].join("---\n");
    let (half, rest) = text.split_at(30);
    file.write_all(half.as_bytes()).unwrap();
    file.flush().unwrap();
    // Well inside the bound: nothing is read until the file is closed.
    tokio::task::yield_now().await;
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    story.holds(&["a", "b"]).await;
    assert_eq!(story.control.status().refused, None);
    story.end().await;
}

#[tokio::test]
async fn what_changes_nothing_publishes_nothing() {
    let folder = folder();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    let generation = story.control.status().generation;
    fs::write(
        folder.path().join("service.yaml"),
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---\n\
         apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: x}\n",
    )
    .unwrap();
    let status = story.until(|status| status.counts.skipped == 2).await;
    assert_eq!(status.generation, generation);
    let skipped: Vec<_> = status.skipped.iter().map(|s| (&*s.kind, s.because)).collect();
    assert_eq!(
        skipped,
        [
            ("Thing", Because::UnknownKind.as_str()),
            ("ServiceAccount", Because::NotYetUsed.as_str())
        ]
    );
    let json = serde_json::to_value(&*status).unwrap();
    assert_eq!(json["skipped"][0]["kind"], "Thing");
    assert_eq!(json["refused"], serde_json::Value::Null);
    story.end().await;
}

#[tokio::test]
async fn the_first_set_must_be_good_and_every_problem_is_told() {
    let folder = folder();
    fs::write(folder.path().join("a.yaml"), "kind: Pod\n").unwrap();
    fs::write(folder.path().join("b.yaml"), "{apiVersion: v1, kind: Pod, nope: 1}\n").unwrap();
    let missing = folder.path().join("missing");
    let Err(StartError::Manifests(problems)) = Story::start(&[folder.path(), &missing]).await
    else {
        panic!("a bad set was taken")
    };
    let told = problems.to_string().replace(&format!("{}/", folder.path().display()), "");
    insta::assert_snapshot!(told, @r"
    a.yaml:1:1: `apiVersion` is missing
     1 | kind: Pod
       | ^
    b.yaml:1:1: `metadata` is missing
     1 | {apiVersion: v1, kind: Pod, nope: 1}
       | ^
    b.yaml:1:29: unknown field `nope`
     1 | {apiVersion: v1, kind: Pod, nope: 1}
       |                             ^
    missing:1:1: no such file or folder
    4 problems in the manifests
    ");
}

/// The kernel keeps so many events and no more.
#[tokio::test]
async fn a_change_that_was_lost_in_a_flood_is_seen() {
    let folder = folder();
    let (one, other) = (folder.path().join("pods.yaml"), folder.path().join("empty.yaml"));
    fs::write(&one, pod("a", 1)).unwrap();
    fs::write(&other, "").unwrap();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    let kept: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    // Nobody reads them meanwhile; two that are alike are one.
    let files = [&one, &other].map(|path| File::options().write(true).open(path).unwrap());
    for round in 0..=kept {
        files[round % 2].set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    fs::write(folder.path().join("lost.yaml"), pod("b", 2)).unwrap();
    story.holds(&["a", "b"]).await;
    story.end().await;
}

/// Nothing is said of it where the set is.
#[tokio::test]
async fn a_file_that_is_written_to_by_another_name_is_seen_after_the_next_change() {
    let (folder, elsewhere) = (folder(), tempfile::tempdir().unwrap());
    let other = elsewhere.path().join("other");
    fs::write(&other, pod("a", 1)).unwrap();
    fs::hard_link(&other, folder.path().join("pods.yaml")).unwrap();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    fs::write(&other, pod("b", 2)).unwrap();
    fs::write(folder.path().join("more.yaml"), pod("c", 3)).unwrap();
    story.holds(&["b", "c"]).await;
    story.end().await;
}

/// What was a file is a link, what was a link is a folder, and all of it back again.
#[tokio::test]
async fn a_name_stands_for_a_file_a_link_and_a_folder_in_turn() {
    let folder = folder();
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(elsewhere.path().join("b.yaml"), pod("b", 2)).unwrap();
    fs::write(at("a.yaml"), pod("a", 1)).unwrap();
    let mut story = Story::start(&[folder.path()]).await.unwrap();
    let put = |name: &str| fs::rename(at(name), at("a.yaml")).unwrap();
    symlink(elsewhere.path().join("b.yaml"), at(".link")).unwrap();
    put(".link");
    story.holds(&["b"]).await;
    // Where it leads is watched, and what it leads to is no manifest's name there.
    fs::write(elsewhere.path().join("b.yaml"), pod("c", 3)).unwrap();
    story.holds(&["c"]).await;
    symlink(elsewhere.path(), at(".link")).unwrap();
    put(".link");
    fs::write(elsewhere.path().join("d.yaml"), pod("d", 4)).unwrap();
    story.holds(&["c", "d"]).await;
    fs::remove_file(at("a.yaml")).unwrap();
    story.holds(&[]).await;
    fs::create_dir(at("a.yaml")).unwrap();
    fs::write(at("a.yaml/e.yaml"), pod("e", 5)).unwrap();
    story.holds(&["e"]).await;
    fs::rename(at("a.yaml/e.yaml"), at("f.yaml")).unwrap();
    fs::remove_dir(at("a.yaml")).unwrap();
    fs::write(at("a.yaml"), pod("a", 1)).unwrap();
    story.holds(&["a", "e"]).await;
    story.end().await;
}

/// A deployment that is switched by a link on the way to its manifests.
#[tokio::test]
async fn a_link_on_the_way_to_a_set_leads_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, name, ip) in [("v1", "a", 1), ("v2", "b", 2)] {
        fs::create_dir_all(at(version).join("mesh")).unwrap();
        let text = [NAMESPACE, &pod(name, ip)].join("---\n");
        fs::write(at(version).join("mesh/all.yaml"), text).unwrap();
    }
    symlink("v1", at("current")).unwrap();
    let mut story = Story::start(&[&at("current/mesh")]).await.unwrap();
    story.holds(&["a"]).await;
    symlink("v2", at("next")).unwrap();
    fs::rename(at("next"), at("current")).unwrap();
    story.holds(&["b"]).await;
    let text = [NAMESPACE, &pod("c", 3)].join("---\n");
    fs::write(at("v2/mesh/all.yaml"), text).unwrap();
    story.holds(&["c"]).await;
    story.end().await;
}

#[test]
fn links_in_circles_and_two_ways_to_a_file_are_read_once() {
    let folder = folder();
    fs::write(folder.path().join("pod.yaml"), pod("a", 1)).unwrap();
    symlink(".", folder.path().join("again")).unwrap();
    symlink("pod.yaml", folder.path().join("same.yaml")).unwrap();
    fs::write(folder.path().join("notes.txt"), "not: [a manifest").unwrap();
    fs::write(folder.path().join(".hidden.yaml"), "not: [a manifest").unwrap();
    let paths = [folder.path().to_owned(), folder.path().join("pod.yaml")];
    let objects = culvert_control::source::files::load(&paths).unwrap();
    assert_eq!((objects.pods.len(), objects.namespaces.len()), (1, 1));
    symlink("nowhere.yaml", folder.path().join("broken.yaml")).unwrap();
    let problems = culvert_control::source::files::load(&paths).unwrap_err();
    assert!(problems[0].file.ends_with("broken.yaml"), "{problems:?}");
}

//! A set that is kept means what the same files mean to whoever reads them for the first time.
use super::*;
use crate::compile::{self, Ambient, Settings, incremental::Compiler};
use proptest::prelude::*;
use std::{
    mem,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tempfile::TempDir;

const NAMES: usize = 4;

fn settings() -> Settings {
    let (cluster, trust_domain) = ("Kubernetes".into(), "cluster.local".into());
    Settings { node_name: "".into(), cluster, trust_domain, ambient: Ambient::Ours, l7: true }
}

fn pod(name: &str, ip: u8) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}, \
         status: {{podIP: 10.0.0.{ip}}}}}\n"
    )
}

fn kept(folder: &TempDir) -> Kept {
    Kept::new(Files::open(&[folder.path().to_owned()]).unwrap())
}

fn only(path: &Path) -> Dirty {
    Dirty::Files([path.to_owned()].into())
}

fn all(folder: &TempDir) -> Dirty {
    Dirty::All(Walk::through(&[folder.path().to_owned()]))
}

/// Whether the times tell or not, the same text is the same object, and another text another.
#[test]
fn what_did_not_change_is_the_same_object() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pod.yaml");
    let mut kept = kept(&folder);
    let mut pods = |dirty: Dirty| {
        kept.read(dirty);
        kept.held[&path].objects.pods.clone()
    };
    fs::write(&path, pod("a", 1)).unwrap();
    let first = pods(all(&folder));
    for dirty in [only(&path), all(&folder)] {
        assert!(Arc::ptr_eq(&first[0], &pods(dirty)[0]));
    }
    // As long, and perhaps within one tick of the file system's clock.
    fs::write(&path, pod("b", 1)).unwrap();
    assert_eq!(&*pods(all(&folder))[0].meta.name.name, "b");
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(&*pods(only(&path))[0].meta.name.name, "b");
    fs::remove_file(&path).unwrap();
    kept.read(only(&path));
    assert!(kept.held.is_empty());
}

/// Whoever has lost what was made of it begins anew, whatever is said to be another.
#[test]
fn nothing_is_taken_for_known_once_it_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.yaml"), pod("a", 1)).unwrap();
    let mut kept = kept(&folder);
    kept.read(all(&folder));
    kept.take();
    assert_eq!(kept.difference().unwrap().new.pods.len(), 0);
    fs::write(at("b.yaml"), pod("b", 2)).unwrap();
    kept.renew();
    kept.read(Dirty::Files(BTreeSet::new()));
    assert_eq!(kept.difference().unwrap().new.pods.len(), 2);
}

/// What becomes of a file.
#[derive(Clone, Debug)]
enum Step {
    Gone,
    Text(String),
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop_oneof![
        Just(String::new()),
        (0..3_u8, 1..4_u8).prop_map(|(name, ip)| pod(&format!("p{name}"), ip)),
        (0..3_u8, 4..6_u8).prop_map(|(name, ip)| format!("---\n{}---\n{}", pod("more", ip), pod(&format!("q{name}"), 9))),
        Just("{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {culvert.dev/mesh: enabled}}}\n".to_owned()),
        Just("{apiVersion: v1, kind: Service, metadata: {name: p0, namespace: shop}, spec: {clusterIP: 10.9.0.1, selector: {app: p0}, ports: [{name: http, port: 80}]}}\n".to_owned()),
        Just("{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: shop}, spec: {hosts: [p0], http: [{route: [{destination: {host: nobody}}]}]}}\n".to_owned()),
        Just("{apiVersion: v1, kind: Pood, metadata: {name: x}}\n".to_owned()),
        Just("{apiVersion: v1, kind: Pod, nope: 1}\n".to_owned()),
    ];
    prop_oneof![1 => Just(Step::Gone), 4 => text.prop_map(Step::Text)]
}

proptest! {
    /// Whatever becomes of files, and however often the set is refused on the way.
    #[test]
    fn what_is_kept_means_what_is_read_anew(
        steps in prop::collection::vec((0..NAMES, step(), 0..6_u8), 1..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().to_owned()];
        let (mut kept, mut compiler) = (kept(&folder), Compiler::new(settings()));
        let mut dirty = BTreeSet::new();
        for (name, step, when) in steps {
            let path = folder.path().join(format!("{name}.yaml"));
            match step {
                Step::Gone => drop(fs::remove_file(&path)),
                Step::Text(text) => fs::write(&path, text).unwrap(),
            }
            dirty.insert(path);
            match when {
                // More follows at once.
                0 => continue,
                1 => kept.read(Dirty::All(Walk::through(&paths))),
                _ => kept.read(Dirty::Files(mem::take(&mut dirty))),
            }
            dirty.clear();
            let told = kept.difference().and_then(|Difference { gone, new }| {
                compiler.change(&gone, &new, kept.skipped())?;
                kept.take();
                Ok(compiler.mesh().clone())
            });
            let anew = Files::open(&paths).unwrap().load();
            let anew = anew.and_then(|objects| compile::mesh(&objects, &settings()));
            prop_assert_eq!(told, anew);
        }
    }
}

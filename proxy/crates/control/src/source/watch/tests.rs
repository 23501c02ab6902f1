//! Whatever happens in a folder is heard.
use super::*;
use crate::{
    compile::{self, Ambient, Settings, mesh::Mesh},
    problem::Problem,
    source::{Difference, kept::Kept},
};
use proptest::prelude::*;
use std::os::unix::fs::symlink;

/// Far beyond what a burst may last.
const PATIENCE: Duration = Duration::from_secs(20);

fn pod(ip: u8) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: p{ip}}}, status: {{podIP: 10.0.0.{ip}}}}}\n"
    )
}

fn settings() -> Settings {
    let (cluster, trust_domain) = ("Kubernetes".into(), "cluster.local".into());
    Settings { node_name: "".into(), cluster, trust_domain, ambient: Ambient::Ours, l7: false }
}

/// What is known by what was heard.
fn known(kept: &Kept) -> Result<Mesh, Vec<Problem>> {
    let Difference { new, .. } = kept.difference()?;
    compile::mesh(&new, &settings())
}

/// Something that happens in a folder.
#[derive(Clone, Debug)]
enum Deed {
    Write(&'static str, u8),
    Remove(&'static str),
    Rename(&'static str, &'static str),
    Link(&'static str, &'static str),
}

impl Deed {
    fn any() -> impl Strategy<Value = Self> {
        let file =
            || prop::sample::select(vec!["a.yaml", "b.yaml", "in/a.yaml", "in/c.yaml", ".d.yaml"]);
        let any =
            || prop::sample::select(vec!["a.yaml", "b.yaml", "in", "out", ".in", "in/c.yaml"]);
        prop_oneof![
            4 => (file(), 1..9_u8).prop_map(|(path, ip)| Self::Write(path, ip)),
            1 => any().prop_map(Self::Remove),
            2 => (any(), any()).prop_map(|(from, to)| Self::Rename(from, to)),
            1 => (any(), any()).prop_map(|(at, to)| Self::Link(at, to)),
        ]
    }

    /// As far as it can be done.
    fn happen(&self, folder: &Path) {
        match self {
            Self::Write(path, ip) => {
                let path = folder.join(path);
                drop(fs::create_dir(path.parent().unwrap()));
                drop(fs::write(path, pod(*ip)));
            }
            Self::Remove(path) => {
                drop(fs::remove_file(folder.join(path)));
                drop(fs::remove_dir_all(folder.join(path)));
            }
            Self::Rename(from, to) => drop(fs::rename(folder.join(from), folder.join(to))),
            Self::Link(at, to) => drop(symlink(to, folder.join(at))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// Without a look around, which would find it all the same.
    #[test]
    fn whatever_happens_is_heard(
        bursts in prop::collection::vec(prop::collection::vec(Deed::any(), 1..5), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let outer = tempfile::tempdir().unwrap();
            let folder = outer.path().join("set");
            fs::create_dir(&folder).unwrap();
            let files = Files::open(std::slice::from_ref(&folder)).unwrap();
            let (mut watch, all) = Watch::start(&files).unwrap();
            let mut kept = Kept::new(files.clone());
            kept.read(all);
            for burst in bursts {
                burst.iter().for_each(|deed| deed.happen(&folder));
                let there = files.clone().load();
                let there = there.and_then(|objects| compile::mesh(&objects, &settings()));
                while known(&kept) != there {
                    let heard = time::timeout(PATIENCE, watch.changed()).await;
                    watch.look_around = None;
                    kept.read(heard.unwrap_or_else(|_| panic!("{burst:?} is not heard")));
                }
            }
        });
    }
}

//! Discovery from files, which are replaced.
use super::{follow::Followed, server::Server};
use std::{fs, path::Path, sync::Arc};

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

#[tokio::test]
async fn a_file_is_read_again_when_it_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cds.yaml");
    let cluster = |name: &str| {
        format!(
            "
version_info: '1'
resources:
- '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: {name}
  load_assignment: {{cluster_name: {name}}}
"
        )
    };
    replace(&path, &cluster("a"));
    let bootstrap = format!("dynamic_resources: {{cds_config: {{path: '{}'}}}}", path.display());
    let server = Server::start().await;
    let mut followed = Followed::start(&bootstrap, Arc::new(server));
    followed.until(|snapshot| snapshot.clusters().get("a").is_some()).await;
    replace(&path, "resources: [");
    replace(&path, &cluster("b"));
    let after = followed.until(|snapshot| snapshot.clusters().get("b").is_some()).await;
    assert!(after.clusters().get("a").is_none());
}

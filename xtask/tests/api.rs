//! The chart before a real API server.
use std::{env, process::Command};

use culvert_cluster::Cluster;

#[test]
fn every_object_of_the_chart_is_taken_and_its_accounts_may_what_they_must_and_no_more() {
    // One of its own: it installs into the namespace that others may use.
    let cluster = Cluster::api("chart");
    let judged = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["chart", "--server"])
        .arg(cluster.kubeconfig())
        .arg("--program")
        .arg(env::var_os("CULVERT_BIN").expect("`cargo xtask test` names the program"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{said}");
}

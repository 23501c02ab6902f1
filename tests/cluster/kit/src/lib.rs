//! Real Kubernetes clusters, for tests that read as stories.
//!
//! ```no_run
//! use culvert_cluster::{Cluster, Crds, eventually};
//!
//! let cluster = Cluster::shared();
//! cluster.install(Crds::Istio);
//! let shop = cluster.namespace("shop");
//! shop.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: menu}, data: {soup: hot}}");
//! let soup = eventually("the menu", || shop.get(&["configmap", "menu"])["data"]["soup"].as_str().map(str::to_owned));
//! assert_eq!(soup, "hot");
//! // For what is under test: cluster.kubeconfig(), or cluster.kubeconfig_of("shop", "account").
//! ```
//!
//! The program that is all of Kubernetes is built by `cargo xtask cluster build`, and by
//! `cargo xtask test`. Tests of the API server are in test programs whose names start with `api`,
//! those that need nodes in such that start with `nodes`: by that `cargo xtask test` knows them.
//! A surprise ends the test.
#![expect(clippy::panic, reason = "a surprise ends the test")]
#![expect(clippy::missing_panics_doc, reason = "everything here panics when it is surprised")]
mod chart;
mod cluster;
mod eventually;
mod namespace;
mod nodes;
mod place;

pub use cluster::{Cluster, Crds};
pub use eventually::{PATIENCE, eventually};
pub use namespace::Namespace;

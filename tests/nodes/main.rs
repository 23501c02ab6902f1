//! The mesh on a real Kubernetes: two nodes with kubelet, containerd, CNI and kube-proxy, and the
//! chart as it is shipped.
//!
//! Needs root, and what `cargo xtask test kubernetes` builds. In reading order: `town` (the cluster
//! that the stories share), `image` (what runs in its pods), `shop` (an application of four services),
//! `load` (requests while something happens), `bookinfo` (Istio's sample application, and its
//! stories), `proxy` (what a node's proxy tells), `traces` (what a node has of one), `istiod`, then
//! the other stories.
#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]
#![expect(clippy::panic, reason = "a surprise ends the test")]
mod bookinfo;
mod image;
mod istiod;
mod load;
mod proxy;
mod shop;
mod town;
mod traces;

mod crash;
mod enrol;
mod first;
mod kinds;
mod laptop;
mod leave;
mod numbers;
mod refused;
mod strict;
mod upgrade;

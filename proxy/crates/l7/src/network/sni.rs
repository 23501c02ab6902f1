//! `sni_cluster`: the name that a client asks for is the cluster's.
use super::tcp_proxy::CLUSTER;
use crate::connection::Connection;
use std::sync::Arc;

pub(super) fn set(connection: &mut Connection) {
    let name = &connection.facts.server_name;
    if !name.is_empty() {
        connection.state.0.insert(CLUSTER.into(), Arc::clone(name));
    }
}

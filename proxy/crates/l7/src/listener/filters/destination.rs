//! `original_dst`: where a connection was bound before it was redirected to us, or taken by TPROXY.
use crate::{connection::Connection, io::Io, listener::original};
use culvert_model::http::listener::Listener;
use std::net::SocketAddr;

pub(super) fn look(connection: &mut Connection, io: &Io) {
    // Whoever handed the connection over has said it already.
    if let Some(destination) = io.tcp().and_then(original::destination) {
        connection.facts.local = Some(destination);
    }
    let facts = &mut connection.facts;
    // A transparent socket takes what was meant for others, under their address.
    facts.taken = connection.listener.transparent
        && facts.direct_local.is_some_and(|local| !is_bound(&connection.listener, local));
}

/// Whether a listener listens at an address.
fn is_bound(listener: &Listener, address: SocketAddr) -> bool {
    listener.addresses.iter().filter_map(|at| at.address.as_socket()).any(|at| {
        let same_port = at.port() == address.port() || at.port() == 0;
        same_port && (at.ip().is_unspecified() || at.ip() == address.ip())
    })
}

//! `original_dst`: where a connection was bound before it was redirected to us.
use crate::{connection::Connection, io::Io, listener::original};

pub(super) fn look(connection: &mut Connection, io: &Io) {
    // Whoever handed the connection over has said it already.
    if let Some(destination) = io.tcp().and_then(original::destination) {
        connection.facts.local = Some(destination);
    }
}

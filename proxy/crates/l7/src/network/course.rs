//! A connection on its way, and what is told of it once it is over.
use super::Record;
use crate::connection::Connection;
use std::sync::Arc;

/// Told when it is over, however that comes about: also when its time to drain is up, and when what
/// served it has panicked.
pub(crate) struct Course<'a> {
    /// Shared once a manager has it.
    connection: Arc<Connection>,
    pub(crate) record: Record,
    ended: bool,
    listener: &'a dyn Over,
}

/// Whoever is told.
pub(crate) trait Over: Send + Sync {
    fn over(&self, connection: &Connection, record: &Record);
}

impl<'a> Course<'a> {
    pub(crate) fn new(connection: Connection, listener: &'a dyn Over) -> Self {
        let (connection, record) = (Arc::new(connection), Record::default());
        Self { connection, record, ended: false, listener }
    }

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// What is known, and what is told.
    pub(super) fn parts(&mut self) -> (&Connection, &mut Record) {
        (&self.connection, &mut self.record)
    }

    /// To be changed, by whoever is asked before it is taken.
    pub(crate) fn change(&mut self) -> &mut Connection {
        // Nobody else has it yet, so nothing is copied.
        Arc::make_mut(&mut self.connection)
    }

    /// It has come to its end, and was not cut off.
    pub(crate) const fn end(&mut self) {
        self.ended = true;
    }

    /// What is told of one that is cut off.
    pub(super) fn close(&mut self) {
        if !self.ended {
            self.record.closed.get_or_insert("filter_chain_is_being_removed".into());
        }
    }
}

impl Drop for Course<'_> {
    fn drop(&mut self) {
        self.close();
        self.listener.over(&self.connection, &self.record);
    }
}

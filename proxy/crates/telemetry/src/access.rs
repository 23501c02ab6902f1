//! The access log: one line per connection, and one per request, written by one thread.
pub mod line;

pub(crate) mod request;

mod words;

use crate::{
    access::{line::AccessLine, request::RequestLine},
    lines::{Line, Options, Queue},
    metrics::Metrics,
};
use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

/// How many lines may wait for the writer: some seconds of a busy node, and with 200 bytes each
/// about 3 MiB.
const WAITING: usize = 16 * 1024;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// One JSON object a line.
    Json,
    /// Tabs and `key=value`, as ztunnel writes it.
    Text,
    /// No line at all.
    Off,
}

/// The way to the writer; cheap to clone.
///
/// Writing never waits: when the queue is full the line is dropped and
/// `culvert_access_log_dropped_total` counts it.
#[derive(Clone, Debug)]
pub struct AccessLog(Option<Arc<Queue<Entry>>>);

/// A line that waits.
#[derive(Debug)]
enum Entry {
    Connection(Box<AccessLine>),
    Request(Box<RequestLine>),
}

/// Lines were left when the time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("access log not written out within {waited:?}; is nobody reading it?")]
pub struct Unwritten {
    waited: Duration,
}

impl AccessLog {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(
        format: AccessFormat,
        sink: Box<dyn Write + Send>,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let write: fn(&mut Vec<u8>, &Entry) = match format {
            AccessFormat::Json => json,
            AccessFormat::Text => text,
            AccessFormat::Off => return Ok(Self::off()),
        };
        let dropped = metrics.access_log_dropped();
        let queue = Arc::new(Queue::new(Options {
            name: "access log".to_owned(),
            room: WAITING,
            gather: Duration::ZERO,
            lost: Box::new(move |lines| {
                dropped.inc_by(lines);
            }),
        }));
        let own = Arc::clone(&queue);
        // Ends with `close`, which waits for it; left behind otherwise, for a sink that nobody
        // reads cannot be interrupted.
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || own.run(write, sink))
            .map(drop)?;
        Ok(Self(Some(queue)))
    }

    /// No lines.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Queues `line`.
    pub fn write(&self, line: AccessLine) {
        if let Some(queue) = &self.0 {
            queue.push(Entry::Connection(Box::new(line)));
        }
    }

    /// Queues the line of a request.
    pub(crate) fn write_request(&self, line: RequestLine) {
        if let Some(queue) = &self.0 {
            queue.push(Entry::Request(Box::new(line)));
        }
    }

    /// Waits until everything queued is written; later lines are dropped and counted.
    ///
    /// Blocks the thread: call it last, after the drain.
    ///
    /// # Errors
    ///
    /// When lines are left after `at_most`.
    pub fn close(&self, at_most: Duration) -> Result<(), Unwritten> {
        match &self.0 {
            Some(queue) if !queue.close(at_most) => Err(Unwritten { waited: at_most }),
            Some(_) | None => Ok(()),
        }
    }
}

fn json(out: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Connection(line) => line::json(out, line),
        Entry::Request(line) => request::json(out, line),
    }
}

fn text(out: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Connection(line) => line::text(out, line),
        Entry::Request(line) => request::text(out, line),
    }
}

impl Line for Entry {
    fn weight(&self) -> usize {
        1
    }
}

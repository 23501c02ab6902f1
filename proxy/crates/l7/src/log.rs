//! Access logs: what is written down of a request or a connection once it is over.
//!
//! Nobody waits for a line: what a file does not take fast enough is dropped and counted.
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use culvert_model::http::access_log::{AccessLog, LogFilter, LogFormat, LogSink};
use culvert_policy::http::{
    format::{self, Missing, Scene},
    log::{Around, passes},
};
use culvert_telemetry::lines::Queue;
use parking_lot::Mutex;

use crate::stats::Stats;

mod file;

pub use self::file::Target;
use self::file::{File, Text};

/// What a line is likely to need.
const LINE: usize = 512;

/// All that this process writes lines to, each opened once; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sinks(Arc<All>);

#[derive(Debug)]
struct All {
    open: Mutex<HashMap<Target, Weak<File>>>,
    /// What threads still write, of files too that nobody has open any more.
    written: Mutex<Vec<(Target, Weak<Lines>)>>,
    stats: Stats,
}

/// The logs of one connection manager or proxy.
#[derive(Default)]
pub struct Logs(Box<[Log]>);

struct Log {
    filter: Option<LogFilter>,
    format: LogFormat,
    file: Arc<File>,
}

/// What a line is made of.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub scene: Scene<'a>,
    pub around: Around<'a>,
}

impl Sinks {
    /// Counts what it does as `filesystem.…`.
    #[must_use]
    pub fn new(stats: &Stats) -> Self {
        Self(Arc::new(All {
            open: Mutex::default(),
            written: Mutex::default(),
            stats: stats.clone(),
        }))
    }

    /// Opens every file anew, for whoever has moved it away.
    pub fn reopen(&self) {
        self.files().iter().for_each(|file| file.reopen());
    }

    /// Waits until everything queued is written; later lines are dropped.
    ///
    /// Blocks the thread: call it last, after the drain. Returns what was not done in time.
    #[must_use]
    pub fn close(&self, at_most: Duration) -> Vec<Target> {
        let written: Vec<_> = {
            let written = self.0.written.lock();
            let queue = |(target, queue): &(Target, Weak<Lines>)| {
                Some((target.clone(), queue.upgrade()?))
            };
            written.iter().filter_map(queue).collect()
        };
        written.iter().for_each(|(_, queue)| queue.end());
        let deadline = Instant::now() + at_most;
        let late = |queue: &Lines| {
            !queue.close(deadline.saturating_duration_since(Instant::now()))
        };
        let late = written.into_iter().filter(|(_, queue)| late(queue));
        late.map(|(target, _)| target).collect()
    }

    fn files(&self) -> Vec<Arc<File>> {
        self.0.open.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// The one that is open, or one that is opened with its first line.
    fn file(&self, target: Target) -> Arc<File> {
        let mut open = self.0.open.lock();
        if let Some(file) = open.get(&target).and_then(Weak::upgrade) {
            return file;
        }
        open.retain(|_, file| file.strong_count() != 0);
        let file = Arc::new(File::start(target.clone(), &self.0.stats));
        let mut written = self.0.written.lock();
        written.retain(|(_, queue)| queue.strong_count() != 0);
        written.push((target.clone(), Arc::downgrade(&file.queue)));
        drop(written);
        open.insert(target, Arc::downgrade(&file));
        file
    }
}

impl Logs {
    #[must_use]
    pub fn new(logs: &[AccessLog], sinks: &Sinks) -> Self {
        let each = |log: &AccessLog| {
            let (target, format) = match &log.sink {
                LogSink::File { path, format } => (Target::of(path), format),
                LogSink::Stdout(format) => (Target::Stdout, format),
                LogSink::Stderr(format) => (Target::Stderr, format),
            };
            let (filter, format) = (log.filter.clone(), format.clone());
            Log { filter, format, file: sinks.file(target) }
        };
        Self(logs.iter().map(each).collect())
    }

    /// Whether nothing is ever written: then nothing needs to be known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the line of each log whose filter it passes.
    pub fn write(&self, seen: &Seen<'_>) {
        let Seen { scene, around } = seen;
        for Log { filter, format, file } in &self.0 {
            if filter.as_ref().is_some_and(|filter| !passes(filter, scene, around)) {
                continue;
            }
            let missing = if format.omit_empty { Missing::Omit } else { Missing::Dash };
            let mut line = Vec::with_capacity(LINE);
            format::line(&format.format, scene, missing, &mut line);
            file.queue.push(Text(line));
        }
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|log| &log.file.target)).finish()
    }
}

/// The queue of a file, and the thread behind it.
type Lines = Queue<Text>;

#[cfg(test)]
mod tests;

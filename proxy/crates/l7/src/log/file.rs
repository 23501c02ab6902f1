//! One file that lines go to, and the thread that writes it.
use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use culvert_telemetry::lines::{Line, Options};
use tracing::warn;

use super::Lines;
use crate::stats::{Counter, Late, Scope, Stats};

/// How many bytes may wait for one file.
const ROOM: usize = 8 << 20;

/// How long lines gather: a busy file is written some times a second, not for each line.
const GATHER: Duration = Duration::from_millis(100);

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// A line, as it is written.
pub(super) struct Text(pub(super) Vec<u8>);

/// The way to one file; the thread behind it writes what is left and ends when this is dropped.
#[derive(Debug)]
pub(super) struct File {
    pub(super) target: Target,
    pub(super) queue: Arc<Lines>,
    reopen: Arc<AtomicBool>,
}

/// What the thread writes to.
struct Open {
    target: Target,
    file: Option<Box<dyn Write + Send>>,
    reopen: Arc<AtomicBool>,
    completed: Late<Counter>,
    failed: Late<Counter>,
    reopen_failed: Late<Counter>,
}

impl Target {
    /// What a path means: the process's own outputs are written to as they are, though their
    /// paths often cannot be opened (a socket, another user's terminal).
    #[must_use]
    pub fn of(path: &str) -> Self {
        match path {
            "/dev/stdout" | "/proc/self/fd/1" | "/dev/fd/1" => Self::Stdout,
            "/dev/stderr" | "/proc/self/fd/2" | "/dev/fd/2" => Self::Stderr,
            path => Self::File(PathBuf::from(path)),
        }
    }

    /// Whether lines can be written there; a file is made if there is none.
    ///
    /// # Errors
    ///
    /// As opening it has them.
    pub fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
            Self::File(path) => Box::new(OpenOptions::new().append(true).create(true).open(path)?),
        })
    }
}

impl File {
    pub(super) fn start(target: Target, stats: &Stats) -> Self {
        let scope = stats.root().scope("filesystem");
        let dropped = scope.late::<Counter>("write_dropped");
        let queue = Arc::new(Lines::new(Options {
            name: target.to_string(),
            room: ROOM,
            gather: GATHER,
            lost: Box::new(move |lines| dropped.add(lines)),
        }));
        let reopen = Arc::new(AtomicBool::new(false));
        let open = Open::new(target.clone(), Arc::clone(&reopen), &scope);
        let own = Arc::clone(&queue);
        // Ends when `queue` is told to, and has nothing left: a file that nobody reads (a pipe)
        // cannot be interrupted.
        let thread = thread::Builder::new().name("access-log".to_owned());
        if let Err(error) = thread.spawn(move || own.run(text, open)) {
            warn!(log = %target, %error, "no thread for the access log: nothing is written");
            queue.end();
        }
        Self { target, queue, reopen }
    }

    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.queue.nudge();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.queue.end();
    }
}

impl Open {
    fn new(target: Target, reopen: Arc<AtomicBool>, scope: &Scope) -> Self {
        Self {
            target,
            file: None,
            reopen,
            completed: scope.late("write_completed"),
            failed: scope.late("write_failed"),
            reopen_failed: scope.late("reopen_failed"),
        }
    }

    /// Opens what is to be opened anew; a file that cannot be is left as it is.
    fn renew(&mut self) {
        if !self.reopen.swap(false, Ordering::AcqRel) || self.file.is_none() {
            return;
        }
        match self.target.open() {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.reopen_failed.inc();
                warn!(log = %self.target, %error, "cannot be opened again; the old file is kept");
            }
        }
    }
}

impl Write for Open {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.renew();
        let file = match &mut self.file {
            Some(file) => file,
            None => match self.target.open() {
                Ok(file) => self.file.insert(file),
                Err(error) => {
                    self.failed.inc();
                    return Err(error);
                }
            },
        };
        let written = file.write(text);
        match written {
            Ok(_) => self.completed.inc(),
            Err(_) => self.failed.inc(),
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.renew();
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn text(out: &mut Vec<u8>, Text(line): &Text) {
    out.extend_from_slice(line);
}

impl Line for Text {
    fn weight(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

//! Lines on their way to a file that may be slow or full: a bounded queue and the thread that
//! empties it.
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    fmt,
    io::Write,
    mem,
    time::{Duration, Instant},
};
use tracing::warn;

/// How much is written at once, at least while lines wait.
const BATCH: usize = 64 * 1024;

/// How many lines the writer takes at once, and keeps room for.
const TAKEN: usize = 512;

/// Something that becomes a line.
pub trait Line {
    /// How much of the queue's room it takes.
    fn weight(&self) -> usize;
}

/// Counts what is lost.
pub type Lost = Box<dyn Fn(u64) + Send + Sync>;

/// Lines on their way to the writer; nobody waits for it.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// Something to do for the writer.
    work: Condvar,
    /// The writer ended.
    ended: Condvar,
    options: Options,
}

/// How a queue behaves.
pub struct Options {
    /// Said where lines are lost.
    pub name: String,
    /// How much may wait for the writer.
    pub room: usize,
    /// How long the writer lets lines gather before it writes them.
    pub gather: Duration,
    pub lost: Lost,
}

#[derive(Debug)]
struct State<T> {
    lines: VecDeque<T>,
    weight: usize,
    /// Lines were dropped since there was last room.
    full: bool,
    nudged: bool,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    Closing,
    /// The writer has ended.
    Over,
}

/// A batch on its way into the sink.
struct Writer<'a, W> {
    sink: W,
    text: Vec<u8>,
    lines: u64,
    /// The last batch could not be written.
    broken: bool,
    options: &'a Options,
}

impl<T: Line> Queue<T> {
    #[must_use]
    pub fn new(options: Options) -> Self {
        let state = State {
            lines: VecDeque::new(),
            weight: 0,
            full: false,
            nudged: false,
            life: Life::Open,
        };
        let state = Mutex::new(state);
        Self { state, work: Condvar::new(), ended: Condvar::new(), options }
    }

    /// Queues `line`, or drops and counts it.
    pub fn push(&self, line: T) {
        let mut state = self.state.lock();
        let weight = state.weight.saturating_add(line.weight());
        if state.life != Life::Open || self.options.room < weight {
            // Said when it begins, not for each line.
            let said = state.life != Life::Open || mem::replace(&mut state.full, true);
            drop(state);
            (self.options.lost)(1);
            if !said {
                let log = &self.options.name;
                warn!(%log, "lines are dropped: nobody takes them as fast as they come");
            }
            return;
        }
        // The writer waits for the first line, and for enough of them.
        let first = state.lines.is_empty();
        let enough = state.weight < BATCH && BATCH <= weight;
        state.weight = weight;
        state.lines.push_back(line);
        drop(state);
        if first || enough {
            self.work.notify_one();
        }
    }

    /// Has the writer flush its sink, though there may be no line for it.
    pub fn nudge(&self) {
        self.state.lock().nudged = true;
        self.work.notify_one();
    }

    /// Asks the writer to end, and does not wait for it.
    pub fn end(&self) {
        let mut state = self.state.lock();
        if state.life == Life::Open {
            state.life = Life::Closing;
            self.work.notify_one();
        }
    }

    /// Whether the writer has ended.
    pub fn is_over(&self) -> bool {
        self.state.lock().life == Life::Over
    }

    /// Asks the writer to end, and waits for it; false when it did not in time.
    pub fn close(&self, at_most: Duration) -> bool {
        self.end();
        let deadline = Instant::now().checked_add(at_most);
        let mut state = self.state.lock();
        let lives = |state: &mut State<T>| state.life != Life::Over;
        match deadline {
            Some(deadline) => drop(self.ended.wait_while_until(&mut state, lives, deadline)),
            None => self.ended.wait_while(&mut state, lives),
        }
        state.life == Life::Over
    }

    /// Writes lines until there is nothing left after [`close`](Self::close).
    pub fn run(&self, format: impl Fn(&mut Vec<u8>, &T), sink: impl Write) {
        let mut taken = Vec::with_capacity(TAKEN);
        let text = Vec::with_capacity(BATCH);
        let mut writer = Writer { sink, text, lines: 0, broken: false, options: &self.options };
        while self.take(&mut taken) {
            for line in taken.drain(..) {
                format(&mut writer.text, &line);
                writer.lines += 1;
                if BATCH <= writer.text.len() {
                    writer.write();
                }
            }
            writer.write();
        }
        self.state.lock().life = Life::Over;
        self.ended.notify_all();
    }

    /// Waits for lines and moves some to `taken`; false when closed and empty.
    fn take(&self, taken: &mut Vec<T>) -> bool {
        let mut state = self.state.lock();
        let idle = |state: &mut State<T>| {
            state.lines.is_empty() && state.life == Life::Open && !state.nudged
        };
        self.work.wait_while(&mut state, idle);
        if !self.options.gather.is_zero() {
            let few = |state: &mut State<T>| {
                state.weight < BATCH && state.life == Life::Open && !state.nudged
            };
            self.work.wait_while_for(&mut state, few, self.options.gather);
        }
        let nudged = mem::take(&mut state.nudged);
        let some = state.lines.len().min(TAKEN);
        taken.extend(state.lines.drain(..some));
        let weight: usize = taken.iter().map(Line::weight).sum();
        state.weight = state.weight.saturating_sub(weight);
        state.full &= taken.is_empty();
        // A burst does not keep its room for ever.
        if state.lines.is_empty() && TAKEN < state.lines.capacity() {
            state.lines.shrink_to(TAKEN);
        }
        nudged || !taken.is_empty()
    }
}

impl<W: Write> Writer<'_, W> {
    /// Empties the batch into the sink; what cannot be written is lost, and counted.
    fn write(&mut self) {
        let Self { sink, text, lines, broken, options } = self;
        let written = sink.write_all(text).and_then(|()| sink.flush());
        text.clear();
        let lines = mem::take(lines);
        match written {
            Ok(()) => *broken = false,
            Err(error) => {
                // Said when it begins, not for each batch on a full disk.
                if !mem::replace(broken, true) {
                    warn!(log = %options.name, %error, "cannot write; lines are lost");
                }
                (options.lost)(lines);
            }
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.options.name).finish()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
            mpsc,
        },
        thread,
    };

    const LONG: Duration = Duration::from_secs(60);

    impl Line for u16 {
        fn weight(&self) -> usize {
            1
        }
    }

    fn number(out: &mut Vec<u8>, line: &u16) {
        writeln!(out, "{line}").unwrap();
    }

    /// Passes on what is written to it, once it is told to.
    struct Gate(mpsc::Receiver<io::Result<()>>, mpsc::Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap_or(Ok(()))?;
            self.1.send(buf.to_vec()).unwrap();
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Started {
        queue: Arc<Queue<u16>>,
        lost: Arc<AtomicU64>,
        open: mpsc::Sender<io::Result<()>>,
        out: mpsc::Receiver<Vec<u8>>,
    }

    fn start(room: usize, gather: Duration) -> Started {
        let lost = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lost);
        let queue = Arc::new(Queue::new(Options {
            name: "test".to_owned(),
            room,
            gather,
            lost: Box::new(move |more| {
                count.fetch_add(more, Ordering::Relaxed);
            }),
        }));
        let (open, opened) = mpsc::channel();
        let (written, out) = mpsc::channel();
        let own = Arc::clone(&queue);
        thread::spawn(move || own.run(number, Gate(opened, written)));
        Started { queue, lost, open, out }
    }

    impl Started {
        fn all(&self) -> String {
            String::from_utf8(self.out.iter().flatten().collect()).unwrap()
        }

        fn lost(&self) -> u64 {
            self.lost.load(Ordering::Relaxed)
        }
    }

    fn closes_with_every_line_in_order(gather: Duration) {
        let mut it = start(10_000, gather);
        (0..5000).for_each(|line| it.queue.push(line));
        it.open = mpsc::channel().0;
        assert!(it.queue.close(LONG));
        let expected: String = (0..5000).map(|line| format!("{line}\n")).collect();
        assert_eq!(it.all(), expected);
        assert_eq!(it.lost(), 0);
    }

    #[test]
    fn close_waits_for_every_line_in_order() {
        closes_with_every_line_in_order(Duration::ZERO);
    }

    #[test]
    fn close_does_not_wait_for_more_to_gather() {
        closes_with_every_line_in_order(Duration::from_secs(3600));
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_nobody_waits() {
        let mut it = start(3, Duration::ZERO);
        // The writer holds the first and is stuck with it.
        it.queue.push(0);
        while !it.queue.state.lock().lines.is_empty() {
            thread::yield_now();
        }
        (1..=5).for_each(|line| it.queue.push(line));
        assert_eq!(it.lost(), 2);
        assert!(!it.queue.close(Duration::ZERO), "says that lines are left");
        it.open = mpsc::channel().0;
        assert!(it.queue.close(LONG));
        assert_eq!(it.all(), "0\n1\n2\n3\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_the_next_are_tried() {
        let mut it = start(10, Duration::ZERO);
        it.open.send(Err(io::Error::from_raw_os_error(libc::ENOSPC))).unwrap();
        it.queue.push(1);
        while it.lost() == 0 {
            thread::yield_now();
        }
        it.queue.push(2);
        it.open = mpsc::channel().0;
        assert!(it.queue.close(LONG));
        assert_eq!((it.all().as_str(), it.lost()), ("2\n", 1));
        it.queue.push(3);
        assert_eq!(it.lost(), 2, "nothing is written after close");
    }
}

//! The queue of lines and the thread that empties it.
use crate::access::line::AccessLine;
use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;
use std::{
    collections::VecDeque,
    io::Write,
    mem,
    time::{Duration, Instant},
};
use tracing::warn;

/// How much is written at once, at least while lines wait.
const BATCH: usize = 64 * 1024;

/// How many lines the writer takes at once, and keeps room for.
const TAKEN: usize = 512;

/// Lines on their way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Something to do for the writer.
    work: Condvar,
    /// The writer ended.
    ended: Condvar,
    bound: usize,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<AccessLine>,
    closing: bool,
    ended: bool,
}

/// A batch on its way into the sink.
struct Writer<W> {
    sink: W,
    text: Vec<u8>,
    lines: u64,
    /// The last batch could not be written.
    broken: bool,
}

impl Queue {
    pub(super) fn new(bound: usize, dropped: Counter) -> Self {
        let (work, ended) = (Condvar::new(), Condvar::new());
        Self { state: Mutex::default(), work, ended, bound, dropped }
    }

    /// Queues `line`, or drops and counts it.
    pub(super) fn push(&self, line: AccessLine) {
        let mut state = self.state.lock();
        if state.closing || self.bound <= state.lines.len() {
            drop(state);
            self.dropped.inc();
            return;
        }
        state.lines.push_back(line);
        drop(state);
        self.work.notify_one();
    }

    /// Asks the writer to end, and waits for it; false when it did not in time.
    pub(super) fn close(&self, at_most: Duration) -> bool {
        let deadline = Instant::now().checked_add(at_most);
        let mut state = self.state.lock();
        state.closing = true;
        self.work.notify_one();
        match deadline {
            Some(deadline) => {
                self.ended.wait_while_until(&mut state, |state| !state.ended, deadline);
            }
            None => self.ended.wait_while(&mut state, |state| !state.ended),
        }
        state.ended
    }

    /// Writes lines until there is nothing left after [`close`](Self::close).
    pub(super) fn run(&self, format: fn(&mut Vec<u8>, &AccessLine), sink: impl Write) {
        let mut taken = Vec::with_capacity(TAKEN);
        let text = Vec::with_capacity(BATCH);
        let mut writer = Writer { sink, text, lines: 0, broken: false };
        while self.take(&mut taken) {
            for line in taken.drain(..) {
                format(&mut writer.text, &line);
                writer.lines += 1;
                if BATCH <= writer.text.len() {
                    self.dropped.inc_by(writer.write());
                }
            }
            self.dropped.inc_by(writer.write());
        }
        self.state.lock().ended = true;
        self.ended.notify_all();
    }

    /// Waits for lines and moves some to `taken`; false when closed and empty.
    fn take(&self, taken: &mut Vec<AccessLine>) -> bool {
        let mut state = self.state.lock();
        self.work.wait_while(&mut state, |state| state.lines.is_empty() && !state.closing);
        let some = state.lines.len().min(TAKEN);
        taken.extend(state.lines.drain(..some));
        // A burst does not keep its room for ever.
        if state.lines.is_empty() && TAKEN < state.lines.capacity() {
            state.lines.shrink_to(TAKEN);
        }
        !taken.is_empty()
    }
}

impl<W: Write> Writer<W> {
    /// Empties the batch into the sink; how many lines were lost.
    fn write(&mut self) -> u64 {
        let Self { sink, text, lines, broken } = self;
        let written = sink.write_all(text).and_then(|()| sink.flush());
        text.clear();
        let lines = mem::take(lines);
        match written {
            Ok(()) => {
                *broken = false;
                0
            }
            Err(error) => {
                // Said when it begins, not for each batch on a full disk.
                if !mem::replace(broken, true) {
                    warn!(%error, "cannot write the access log");
                }
                lines
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::line::tests::line;
    use std::{
        io,
        sync::{Arc, mpsc},
        thread,
    };

    const LONG: Duration = Duration::from_secs(60);

    fn port(out: &mut Vec<u8>, line: &AccessLine) {
        writeln!(out, "{}", line.facts.source.port()).unwrap();
    }

    fn numbered(port: u16) -> AccessLine {
        let mut line = line();
        line.facts.source.set_port(port);
        line
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

    fn start(bound: usize) -> (Arc<Queue>, mpsc::Sender<io::Result<()>>, mpsc::Receiver<Vec<u8>>) {
        let queue = Arc::new(Queue::new(bound, Counter::default()));
        let (open, opened) = mpsc::channel();
        let (written, out) = mpsc::channel();
        let own = Arc::clone(&queue);
        thread::spawn(move || own.run(port, Gate(opened, written)));
        (queue, open, out)
    }

    fn all(out: &mpsc::Receiver<Vec<u8>>) -> String {
        String::from_utf8(out.iter().flatten().collect()).unwrap()
    }

    #[test]
    fn close_waits_for_every_line_in_order() {
        let (queue, open, out) = start(10_000);
        (0..5000).for_each(|port| queue.push(numbered(port)));
        drop(open);
        assert!(queue.close(LONG));
        let expected: String = (0..5000).map(|port| format!("{port}\n")).collect();
        assert_eq!(all(&out), expected);
        assert_eq!(queue.dropped.get(), 0);
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_nobody_waits() {
        let (queue, open, out) = start(3);
        // The writer holds the first and is stuck with it.
        queue.push(numbered(0));
        while !queue.state.lock().lines.is_empty() {
            thread::yield_now();
        }
        (1..=5).for_each(|port| queue.push(numbered(port)));
        assert_eq!(queue.dropped.get(), 2);
        assert!(!queue.close(Duration::ZERO), "says that lines are left");
        drop(open);
        assert!(queue.close(LONG));
        assert_eq!(all(&out), "0\n1\n2\n3\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_the_next_are_tried() {
        let (queue, open, out) = start(10);
        open.send(Err(io::Error::from_raw_os_error(libc::ENOSPC))).unwrap();
        queue.push(numbered(1));
        while queue.dropped.get() == 0 {
            thread::yield_now();
        }
        queue.push(numbered(2));
        drop(open);
        assert!(queue.close(LONG));
        assert_eq!((all(&out).as_str(), queue.dropped.get()), ("2\n", 1));
        queue.push(numbered(3));
        assert_eq!(queue.dropped.get(), 2, "nothing is written after close");
    }
}

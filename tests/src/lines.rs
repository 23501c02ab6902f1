//! What a process says, line by line, kept and awaited.
use crate::eventually::PATIENCE;
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Instant,
};

/// Lines of one or more pipes in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    shared: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    /// Pipes that may still say something.
    open: usize,
}

impl Lines {
    /// Adds what comes out of `pipe` until it ends.
    pub(crate) fn follow(&self, pipe: impl Read + Send + 'static) {
        self.lock().open += 1;
        let own = self.clone();
        // Ends with the process at the other end.
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                own.lock().lines.push(line);
                own.shared.1.notify_all();
            }
            own.lock().open -= 1;
            own.shared.1.notify_all();
        });
    }

    /// The first line, from the `from`th on, in which `find` finds something.
    #[track_caller]
    pub fn await_from<T>(
        &self,
        from: usize,
        what: &str,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let mut seen = from;
        let found = self.await_state(|said| {
            let found = said.lines.iter().skip(seen).find_map(|line| find(line));
            seen = said.lines.len().max(from);
            found
        });
        found.unwrap_or_else(|| {
            panic!("within {PATIENCE:?} nothing said {what}; it said:\n{}", self.last())
        })
    }

    /// Waits until nobody can say anything any more.
    #[track_caller]
    pub fn await_end(&self) {
        let ended = self.await_state(|said| (said.open == 0).then_some(()));
        ended.unwrap_or_else(|| panic!("within {PATIENCE:?} it did not end: {}", self.text()));
    }

    fn await_state<T>(&self, mut look: impl FnMut(&Said) -> Option<T>) -> Option<T> {
        let until = Instant::now() + PATIENCE;
        let mut said = self.lock();
        loop {
            let found = look(&said);
            let left = until.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() {
                return found;
            }
            (said, _) = self.shared.1.wait_timeout(said, left).expect("no holder panics");
        }
    }

    /// The first line of JSON that `is` likes.
    #[track_caller]
    pub fn await_json(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.await_from(0, what, |line| serde_json::from_str(line).ok().filter(&is))
    }

    /// Every line of JSON so far.
    #[must_use]
    pub fn json(&self) -> Vec<Value> {
        self.lock().lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// How many lines there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().lines.len()
    }

    /// All lines so far as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().lines.join("\n")
    }

    /// The last lines as one text, for a person.
    #[must_use]
    pub fn last(&self) -> String {
        const LAST: usize = 30;
        let said = self.lock();
        let before = said.lines.len().saturating_sub(LAST);
        let mut text = if before > 0 { format!("({before} lines)\n") } else { String::new() };
        text.push_str(&said.lines.split_at(before).1.join("\n"));
        text
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.shared.0.lock().expect("no holder panics")
    }
}

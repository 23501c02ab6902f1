//! A process of the mesh: started, listened to, ended.
use super::error::StageError;
use culvert_lab::{LabChild, NodeNs};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    collections::VecDeque,
    io,
    io::{BufRead as _, BufReader, Read},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// How many of its last words are kept for a failure.
const LAST_WORDS: usize = 20;

/// A role on a node, through all of its lives.
#[derive(Debug, Default)]
pub(super) struct Process {
    child: Option<LabChild>,
    /// The JSON it wrote so far, of every life.
    said: Arc<Mutex<Vec<Value>>>,
    words: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts it, for the first time or again.
    ///
    /// # Errors
    ///
    /// When there is no process to be had.
    pub(super) fn start(&mut self, on: &NodeNs, mut command: Command) -> Result<(), StageError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = on.spawn(command)?;
        let (said, words) = (Arc::clone(&self.said), Arc::clone(&self.words));
        each_line(child.stdout(), move |line| {
            if let Ok(line) = serde_json::from_str(&line) {
                said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })?;
        each_line(child.stderr(), move |line| {
            let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
            words.push_back(line);
            if words.len() > LAST_WORDS {
                words.pop_front();
            }
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills it as a crash would, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.signal(Signal::SIGKILL)?;
        child.wait().map(drop)
    }

    /// Whether it has ended by itself, which it should not.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| !matches!(child.ended(), Ok(None)))
    }

    /// The lines of JSON that satisfy `which`.
    pub(super) fn said(&self, which: impl Fn(&Value) -> bool) -> Vec<Value> {
        let lines = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| which(line)).cloned().collect()
    }

    /// What it said last, for a person who wonders why it failed.
    pub(super) fn last_words(&self) -> Vec<String> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Calls `take` for each line of `pipe` on a thread that ends with the pipe.
fn each_line(
    pipe: Option<impl Read + Send + 'static>,
    mut take: impl FnMut(String) + Send + 'static,
) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let read = move || BufReader::new(pipe).lines().map_while(Result::ok).for_each(&mut take);
    thread::Builder::new().spawn(read).map(drop)
}

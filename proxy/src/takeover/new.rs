//! The newcomer's side.
use super::{
    SOCKET,
    wire::{Answer, Gone, Hello, LONGEST, Ready, line},
};
use crate::admin::listeners::Handed;
use culvert_kernel::{fdpass, netns::Netns};
use std::{
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process,
    time::Duration,
};

/// The older process answers from its idle control thread.
const PATIENCE: Duration = Duration::from_secs(10);

/// An older process that waits for word that everything is held; dropped without
/// [`ready`](Self::ready) it goes on as before.
#[derive(Debug)]
pub(crate) struct Predecessor {
    io: UnixStream,
    pub(crate) version: String,
    pub(crate) pid: u32,
}

/// Why an older process was not taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeoverError {
    #[error("the process that runs keeps its place: {reason}")]
    Refused { reason: String, next: String },
    #[error("the process that runs did not answer the take-over")]
    Silent(#[source] io::Error),
    #[error("the answer of the process that runs is not understood")]
    Answer(#[source] serde_json::Error),
}

/// Asks an older process, if there is one, to stand back, as one of a pod of this generation.
///
/// # Errors
///
/// When it refuses or does not answer.
pub(crate) fn ask(
    run_dir: &Path,
    pod_generation: Option<u64>,
) -> Result<Option<(Predecessor, Handed)>, TakeoverError> {
    match ask_once(run_dir, pod_generation) {
        // It was about to end: then nobody listens any more.
        Err(TakeoverError::Silent(error)) if is_end(&error) => ask_once(run_dir, pod_generation),
        answered => answered,
    }
}

fn ask_once(
    run_dir: &Path,
    pod_generation: Option<u64>,
) -> Result<Option<(Predecessor, Handed)>, TakeoverError> {
    let io = match UnixStream::connect(run_dir.join(SOCKET)) {
        Ok(io) => io,
        // Nobody ever listened, or whoever did is gone.
        Err(error)
            if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused]
                .contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(TakeoverError::Silent(error)),
    };
    let (said, fds) = exchange(&io, pod_generation).map_err(TakeoverError::Silent)?;
    match serde_json::from_slice(&said).map_err(TakeoverError::Answer)? {
        Answer::Over { version, pid, listeners } => {
            let handed = listeners.into_iter().zip(fds).collect();
            Ok(Some((Predecessor { io, version, pid }, handed)))
        }
        Answer::Refused { reason, next } => Err(TakeoverError::Refused { reason, next }),
    }
}

/// Whether the other end closed.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// What became of an older process that was told to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It goes.
    Agreed,
    /// It said nothing more: it died, or it took the node back before it heard.
    Ended,
}

impl Predecessor {
    /// Everything is held: the older process goes.
    ///
    /// Blocks for as long as it takes to answer, which is a turn of its idle control thread.
    pub(crate) fn ready(mut self, generation: u64) -> Settled {
        let mut said = Vec::new();
        let told = self.io.write_all(&line(&Ready { generation }));
        let heard = told.and_then(|()| self.io.read_to_end(&mut said));
        match heard {
            Ok(_) if serde_json::from_slice::<Gone>(&said).is_ok() => Settled::Agreed,
            Ok(_) | Err(_) => Settled::Ended,
        }
    }
}

fn exchange(io: &UnixStream, pod_generation: Option<u64>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    io.set_read_timeout(Some(PATIENCE))?;
    io.set_write_timeout(Some(PATIENCE))?;
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        abi: culvert_common::ABI_VERSION,
        pid: process::id(),
        netns: Netns::current().map_or(0, |netns| netns.inode()),
        pod_generation,
    };
    let mut writer = io;
    writer.write_all(&line(&hello))?;
    let (mut said, mut fds) = (Vec::new(), Vec::new());
    while !said.ends_with(b"\n") {
        let mut buf = [0; 4096];
        let (read, more) = fdpass::receive(io, &mut buf)?;
        fds.extend(more);
        match buf.get(..read) {
            Some([]) | None => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(bytes) => said.extend_from_slice(bytes),
        }
        if said.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok((said, fds))
}

//! The older process's side.
use super::wire::{Answer, Gone, Hello, LONGEST, Ready, Role, line};
use crate::admin::listeners::Listeners;
use culvert_common::ABI_VERSION;
use culvert_kernel::{fdpass, netns::Netns};
use serde::de::DeserializeOwned;
use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    process,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time,
};
use tracing::{info, warn};

/// How long a newcomer may take until it holds everything: thousands of pods at milliseconds each.
const SETUP_TIME: Duration = Duration::from_secs(60);

/// How long it may take to say who it is.
const HELLO_TIME: Duration = Duration::from_secs(5);

/// How long to leave the listener alone that cannot accept.
const PAUSE: Duration = Duration::from_millis(100);

/// What stands back while a newcomer sets up, and steps forward again if it fails.
pub(crate) trait Standing {
    /// Stops enrolling and writing kernel maps.
    async fn stand_back(&self);
    /// Takes everything back; false when that is not possible any more.
    async fn step_forward(&self) -> bool;
    /// Of which template its pod is, if it is in one.
    fn pod_generation(&self) -> Option<u64>;
}

/// How the wait for a newcomer ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// One holds everything.
    Succeeded(Successor),
    /// One took what cannot be taken back, and ended.
    Displaced,
}

/// The process that took over.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) generation: u64,
}

/// Resolves once a newcomer holds everything, or was the end of both.
///
/// Not cancel safe while a newcomer sets up: dropped then, it leaves `standing` stood back.
pub(crate) async fn succeeded(
    socket: &UnixListener,
    listeners: &Listeners,
    standing: &impl Standing,
) -> Outcome {
    loop {
        match socket.accept().await {
            Ok((io, _)) => match hand_over(io, listeners, standing).await {
                Ok(outcome) => return outcome,
                Err(error) => warn!(%error, "a newcomer did not take over; this process goes on"),
            },
            Err(error) => {
                warn!(%error, "cannot accept at the take-over socket, pausing");
                time::sleep(PAUSE).await;
            }
        }
    }
}

async fn hand_over(
    io: UnixStream,
    listeners: &Listeners,
    standing: &impl Standing,
) -> io::Result<Outcome> {
    if io.peer_cred()?.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut io = BufReader::new(io);
    let hello: Hello = time::timeout(HELLO_TIME, read(&mut io)).await??;
    let here = Netns::current().map_or(0, |netns| netns.inode());
    let later = later_pod(&hello, standing.pod_generation());
    if let Some((reason, next)) = refusal(&hello, here).or(later) {
        let why = format!("version {} (pid {}) is refused: {reason}", hello.version, hello.pid);
        io.get_mut().write_all(&line(&Answer::Refused { reason, next })).await?;
        return Err(io::Error::other(why));
    }
    info!(version = hello.version, pid = hello.pid, "a newcomer asks to take over");
    standing.stand_back().await;
    let set_up = async {
        send_listeners(io.get_ref(), listeners)?;
        read::<Ready>(&mut io).await
    };
    match time::timeout(SETUP_TIME, set_up).await.unwrap_or_else(|late| Err(late.into())) {
        Ok(Ready { generation }) => {
            // If the newcomer does not hear it, it looks who owns the kernel maps, and finds itself.
            drop(io.get_mut().write_all(&line(&Gone { gone: true })).await);
            let Hello { version, pid, .. } = hello;
            Ok(Outcome::Succeeded(Successor { version, pid, generation }))
        }
        Err(error) if standing.step_forward().await => Err(error),
        Err(_) => Ok(Outcome::Displaced),
    }
}

/// Why a newcomer of an earlier template's pod must not: that pod is about to be deleted, and its
/// process only starts again.
fn later_pod(hello: &Hello, own: Option<u64>) -> Option<(String, String)> {
    let (theirs, own) = (hello.pod_generation?, own?);
    (theirs < own).then(|| {
        (
            format!("its pod is of template {theirs}, and the one that has the node of template {own}"),
            "wait until the DaemonSet has deleted the earlier pod; to go back, roll the DaemonSet back".to_owned(),
        )
    })
}

/// Why this newcomer must not take over, if so, and what to do about it.
///
/// `here` is the inode of this process's network namespace: the node's. From another one the
/// newcomer could not hold the node's pods, and would take its own for the host's.
fn refusal(hello: &Hello, here: u64) -> Option<(String, String)> {
    let pid = process::id();
    if hello.abi < ABI_VERSION {
        return Some((
            format!(
                "it has kernel ABI {ABI_VERSION}, newer than the {} of version {}",
                hello.abi, hello.version
            ),
            format!(
                "start a version with ABI {ABI_VERSION} or newer, or go back for good: end pid {pid} with SIGTERM, run `culvert uninstall`, and start the older version (its pods are outside the mesh until then)",
            ),
        ));
    }
    let strange = ![hello.netns, here].contains(&0) && hello.netns != here;
    strange.then(|| {
        (
            format!("pid {pid} runs in another network namespace, the node's"),
            format!(
                "start this one there: `nsenter --net=/proc/{pid}/ns/net culvert up …`; or give it an --instance of its own"
            ),
        )
    })
}

fn send_listeners(io: &UnixStream, listeners: &Listeners) -> io::Result<()> {
    let (roles, fds): (Vec<Role>, Vec<OwnedFd>) =
        listeners.copies().map_err(io::Error::other)?.into_iter().unzip();
    let over = Answer::Over {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: process::id(),
        listeners: roles,
    };
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
    let line = line(&over);
    // An empty socket takes a short message whole, without waiting.
    match fdpass::send(io, &line, &fds)? {
        sent if sent == line.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// One message; an end before it is an error.
async fn read<T: DeserializeOwned>(io: &mut BufReader<UnixStream>) -> io::Result<T> {
    let mut line = Vec::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    io.take(limit).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The namespace of the process that is asked.
    const HERE: u64 = 4_026_531_840;

    fn hello(abi: u32, netns: u64) -> Hello {
        Hello { version: "0.0.1".to_owned(), abi, pid: 7, netns, pod_generation: None }
    }

    #[test]
    fn a_pod_of_an_earlier_template_does_not_take_the_node_back() {
        let of = |pod_generation| Hello { pod_generation, ..hello(ABI_VERSION, HERE) };
        let (reason, next) = later_pod(&of(Some(3)), Some(4)).unwrap();
        assert!(reason.contains("of template 3") && next.contains("roll"), "{reason}; {next}");
        for (theirs, own) in
            [(Some(4), Some(4)), (Some(5), Some(4)), (None, Some(4)), (Some(3), None)]
        {
            assert!(later_pod(&of(theirs), own).is_none(), "{theirs:?} {own:?}");
        }
    }

    #[test]
    fn an_older_abi_is_refused_with_the_way_out() {
        let (reason, next) = refusal(&hello(ABI_VERSION - 1, HERE), HERE).unwrap();
        assert!(reason.contains("0.0.1"), "{reason}");
        assert!(next.contains("culvert uninstall"), "{next}");
        assert!(refusal(&hello(ABI_VERSION, HERE), HERE).is_none());
        assert!(refusal(&hello(ABI_VERSION + 1, HERE), HERE).is_none());
    }

    #[test]
    fn a_newcomer_from_another_network_namespace_is_refused_with_the_way_in() {
        let (reason, next) = refusal(&hello(ABI_VERSION, HERE + 1), HERE).unwrap();
        assert!(reason.contains("another network namespace"), "{reason}");
        assert!(next.contains("nsenter"), "{next}");
        // One that does not say is of a release that was not asked.
        assert!(refusal(&hello(ABI_VERSION, 0), HERE).is_none());
    }
}

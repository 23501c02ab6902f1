//! Where the plugin comes in: one question and one answer per connection, bounded in number, size
//! and time.
use super::{
    book::Book,
    roster::{Roster, Standing},
};
use culvert_cni::message::{Answer, Ask, Handed, LONGEST, Question, line, parse};
use culvert_dataplane::{Capture, Dataplane};
use culvert_kernel::netns::Netns;
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_runtime::{drain::Worker, publish::View};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{self, Instant},
};
use tracing::{debug, info, warn};

/// How long the plugin may take to ask, and to hear the answer.
const WORD: Duration = Duration::from_secs(5);

/// How long a pod may take to be known, and captured; the plugin waits a little longer.
const CAPTURE: Duration = Duration::from_secs(20);

/// Questions at a time; more wait in the listener's queue.
const QUESTIONS: usize = 256;

/// How long to leave a listener alone that cannot accept.
const PAUSE: Duration = Duration::from_millis(50);

/// What is asked, and who knows.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) roster: View<Roster>,
    pub(super) book: Book,
    pub(super) dataplane: Dataplane,
    pub(super) cluster: Arc<str>,
    pub(super) host_proc: PathBuf,
}

impl Door {
    /// Answers until the worker finishes.
    pub(super) async fn serve(self, listener: UnixListener, worker: Worker) {
        tokio::select! {
            biased;
            () = worker.finishing() => {}
            () = self.accept(&listener, &worker) => {}
        }
    }

    async fn accept(&self, listener: &UnixListener, worker: &Worker) {
        let slots = Arc::new(Semaphore::new(QUESTIONS));
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            match listener.accept().await {
                Ok((io, _)) => {
                    let (door, own) = (self.clone(), worker.clone());
                    worker.spawn(async move {
                        // Without an answer the plugin asks the process that comes.
                        tokio::select! {
                            () = own.finishing() => {}
                            done = door.converse(io) => if let Err(error) = done {
                                debug!(%error, "a question of the CNI plugin broke off");
                            }
                        }
                        drop(slot);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept at the socket of the CNI plugin, pausing");
                    time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn converse(&self, io: UnixStream) -> io::Result<()> {
        // The socket's mode already says so; this holds also where somebody changed it.
        if io.peer_cred()?.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut io = BufReader::new(io);
        let Question { version, ask } = time::timeout(WORD, read(&mut io)).await??;
        let answer = self.answer(version, ask).await;
        time::timeout(WORD, io.write_all(&line(&answer))).await?
    }

    async fn answer(&self, version: u32, ask: Ask) -> Answer {
        match ask {
            Ask::Add(handed) => self.add(handed).await,
            Ask::Check(handed) => self.check(&handed).await,
            Ask::Del { container } => {
                self.book.remove(&container).await;
                Answer::Done
            }
            Ask::Gc { containers } => {
                self.book.keep(&containers).await;
                Answer::Done
            }
            Ask::Status => Answer::Done,
            Ask::Unknown => refused(
                &format!(
                    "the question, of version {version}, is not known to this release of the node proxy"
                ),
                "bring the plugin and the culvert pod of this node to one version",
            ),
        }
    }

    async fn add(&self, handed: Handed) -> Answer {
        let begun = Instant::now();
        if !handed.is_sound() {
            return refused("what was handed over names no pod", "see the container runtime's log");
        }
        let handed = match self.seen_from_here(handed).await {
            Ok(handed) => handed,
            Err(answer) => return answer,
        };
        // Also where it is outside: its namespace may be labelled later.
        if let Err(error) = self.book.put(&handed).await {
            warn!(pod = %handed.pod, %error, "a pod that was handed over is not written down");
        }
        let answer = self.captured(&handed, begun + CAPTURE).await;
        let took = begun.elapsed();
        match &answer {
            Answer::Refused { reason, .. } => {
                warn!(pod = %handed.pod, ?took, reason, "a new pod is refused");
            }
            Answer::Captured => {
                info!(pod = %handed.pod, ?took, "a new pod is captured before it starts");
            }
            Answer::Outside | Answer::Done => {
                debug!(pod = %handed.pod, "a new pod is outside the mesh");
            }
        }
        answer
    }

    async fn check(&self, handed: &Handed) -> Answer {
        match self.book.of(&handed.pod) {
            // What was noted is as it is seen from here.
            Some(noted) => self.captured(&noted, Instant::now() + WORD / 2).await,
            None => match self.roster.pin().value.standing(&handed.pod) {
                Standing::Outside => Answer::Outside,
                Standing::Wanted | Standing::Unknown => refused(
                    "it was never handed over",
                    "delete the pod: its controller makes another",
                ),
            },
        }
    }

    /// Waits until the pod is captured, or known to be outside.
    async fn captured(&self, handed: &Handed, until: Instant) -> Answer {
        let name = ObjectName::new(handed.pod.namespace.as_str(), handed.pod.name.as_str());
        let uid = WorkloadUid::pod(&self.cluster, &name);
        let mut roster = self.roster.clone();
        let mut changed = self.dataplane.pods_changed();
        loop {
            let known = roster.pin();
            let standing = known.value.standing(&handed.pod);
            let capture = match standing {
                Standing::Outside => return Answer::Outside,
                Standing::Wanted => self.dataplane.capture(&uid, &handed.netns),
                Standing::Unknown => Capture::Unknown,
            };
            if capture == Capture::Done {
                return Answer::Captured;
            }
            if Instant::now() >= until {
                return late(standing, capture);
            }
            tokio::select! {
                Some(_) = roster.newer_than(known.generation) => {}
                Ok(()) = changed.changed() => {}
                () = time::sleep_until(until) => {}
            }
        }
    }

    /// The same with a path that leads to the namespace from here, too.
    async fn seen_from_here(&self, handed: Handed) -> Result<Handed, Answer> {
        let paths = paths(&handed.netns, &self.host_proc);
        let found = tokio::task::spawn_blocking(move || find(paths)).await;
        let found = found.unwrap_or_else(|error| Err(error.to_string()));
        match found {
            Ok(netns) => Ok(Handed { netns, ..handed }),
            Err(reason) => Err(refused(
                &reason,
                "mount the folder where the runtime keeps network namespaces (/run/netns) into the culvert pod, with mountPropagation HostToContainer",
            )),
        }
    }
}

/// Where a namespace may be seen that the runtime sees at `netns`.
fn paths(netns: &Path, host_proc: &Path) -> Vec<PathBuf> {
    let moved = [("/var/run", Path::new("/run")), ("/proc", host_proc)];
    let moved =
        moved.into_iter().filter_map(|(from, to)| Some(to.join(netns.strip_prefix(from).ok()?)));
    // Below /proc, the own one would show other processes under the same numbers.
    let own = (!netns.starts_with("/proc")).then(|| netns.to_owned());
    own.into_iter().chain(moved).collect()
}

/// The first of these that is a network namespace, and not the node's own.
fn find(paths: Vec<PathBuf>) -> Result<PathBuf, String> {
    let host = Netns::current().map_err(|error| error.to_string())?;
    let mut wrong = "it has no network namespace".to_owned();
    for path in paths {
        match Netns::open(&path) {
            Ok(netns) if netns.inode() == host.inode() => {
                return Err(format!("{} is the node's own network namespace", path.display()));
            }
            Ok(_) => return Ok(path),
            Err(error) => wrong = error.to_string(),
        }
    }
    Err(wrong)
}

fn late(standing: Standing, capture: Capture) -> Answer {
    let waited = CAPTURE.as_secs();
    match (standing, capture) {
        (Standing::Wanted, Capture::Pending { reason }) => {
            refused(&reason, "see `culvert status` on this node")
        }
        (Standing::Unknown, _) => refused(
            &format!("the node proxy has not been told of it for {waited} s"),
            "see that the culvert pod of this node reaches the API server: `culvert status`",
        ),
        (Standing::Wanted | Standing::Outside, _) => refused(
            &format!("the node proxy has not got to it for {waited} s"),
            "see `culvert status` on this node: until it knows the mesh, it captures nobody",
        ),
    }
}

fn refused(reason: &str, next: &str) -> Answer {
    Answer::Refused { reason: reason.to_owned(), next: next.to_owned() }
}

/// One message; an end before it is an error.
async fn read(io: &mut BufReader<UnixStream>) -> io::Result<Question> {
    let mut line = Vec::new();
    io.take(LONGEST).read_until(b'\n', &mut line).await?;
    parse(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_looked_for_where_this_process_may_see_it() {
        let proc = Path::new("/host/proc");
        let shown = |netns: &str| -> Vec<_> {
            paths(Path::new(netns), proc).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(shown("/var/run/netns/cni-1"), ["/var/run/netns/cni-1", "/run/netns/cni-1"]);
        assert_eq!(shown("/run/netns/cni-1"), ["/run/netns/cni-1"]);
        assert_eq!(shown("/proc/7/ns/net"), ["/host/proc/7/ns/net"]);
    }

    #[test]
    fn the_nodes_own_namespace_is_never_a_pods() {
        let own = find(vec!["/nowhere".into(), "/proc/self/ns/net".into()]).unwrap_err();
        assert!(own.ends_with("is the node's own network namespace"), "{own}");
        assert!(find(vec!["/proc/self/status".into()]).unwrap_err().contains("is not a network"));
    }
}

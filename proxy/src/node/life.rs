//! From the start to the end: signals, a successor, the drain.
use super::{
    Plan,
    advice::{no_return, tell_refused},
    cni,
    feed::Feed,
    linger::{Told, linger},
    parts::{Kernel, Parts},
    prober,
};
use crate::{
    admin::{
        self,
        listeners::{ListenError, Place, prepare_unix, remove_sockets},
    },
    failure::{Exit, Failure},
    signals::Signals,
    takeover::{
        self,
        new::{Predecessor, Settled},
        old::{Outcome, Successor, succeeded},
    },
};
use culvert_dataplane::PodPhase;
use culvert_runtime::drain::{Drain, Drained};
use culvert_telemetry::chain::Chain;
use std::{
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{net::UnixListener, pin, time};
use tracing::{info, warn};

/// How long answers in flight may take once everything else has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How often to look whether earlier processes have ended.
const LOOK: Duration = Duration::from_secs(1);

/// How often series are looked through for those whose time has come.
const EXPIRY: Duration = Duration::from_secs(60);

/// Why the node's life ends.
#[derive(Debug)]
enum End {
    Signal,
    Successor(Successor),
    /// Connections that are open go on; new ones are captured by somebody who is no more.
    Displaced,
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded(successor) => Self::Successor(successor),
            Outcome::Displaced => Self::Displaced,
        }
    }
}

/// Starts the node, lets it live, and ends it.
pub(crate) async fn live(plan: Plan) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let (parts, socket) = tokio::select! {
        biased;
        // Nothing runs through it yet; what an older process had captured stays captured.
        () = signals.next() => {
            info!("told to end before it was ready");
            return Ok(Exit::Done);
        }
        started = start(&plan) => started.map_err(|failure| tell_refused(failure, &plan.ground))?,
    };
    let end = tokio::select! {
        biased;
        () = signals.next() => End::Signal,
        outcome = succeeded(&socket, &parts.listeners, &*parts.kernel) => outcome.into(),
    };
    let run_dir = plan.ground.instance.run_dir();
    let displaced = matches!(end, End::Displaced);
    let told = finish(parts, end, &socket, &mut signals, &plan).await;
    drop(socket);
    if displaced {
        return Err(no_return());
    }
    if told == Told::Nothing && plan.config.linger {
        linger(&plan.ground.lock, &mut signals).await?;
    }
    info!(run_dir = %run_dir.display(), "culvert ends");
    Ok(Exit::Done)
}

async fn start(plan: &Plan) -> Result<(Parts, UnixListener), Failure> {
    let mut parts = Parts::start(plan).await?;
    parts.kernel.dataplane.captured().await;
    let generation = parts.kernel.generation.load(Ordering::Relaxed);
    // Before the older process is told to go: from then on nothing may fail.
    let (socket, place) = takeover_socket(&plan.ground.instance.run_dir())?;
    let handed = cni::prepare(&plan.ground.instance.run_dir()).map_err(|e| no_place(&e))?;
    if let Some(predecessor) = parts.predecessor.take() {
        settle(predecessor, generation, &parts)?;
    }
    parts.first_pods = None;
    if let Err(error) = place.take() {
        warn!(error = %Chain(&error), "nobody can take over from this process");
    }
    let dataplane = &parts.kernel.dataplane;
    if let Err(error) = handed.open(plan, &parts.feed, dataplane, &parts.serving.worker()) {
        warn!(error = %Chain(&error), "the CNI plugin does not find this process");
    }
    parts.feed.source.mark(dataplane, &parts.feed.reports.worker());
    plan.ground.lock.started();
    clean_up(plan, &parts);
    expire(plan, &parts);
    prober::follow(&parts.kernel.node, &parts.work.worker());
    tell_ready(&parts, generation);
    Ok((parts, socket))
}

/// Undoes what earlier processes left of pods that nobody wants, once none of them drains.
fn clean_up(plan: &Plan, parts: &Parts) {
    let lock = Arc::clone(&plan.ground.lock);
    let dataplane = parts.kernel.dataplane.clone();
    let worker = parts.work.worker();
    let own = worker.clone();
    worker.spawn(async move {
        while !lock.is_only() {
            tokio::select! {
                () = own.finishing() => return,
                () = time::sleep(LOOK) => {}
            }
        }
        dataplane.predecessor_ended().await;
    });
}

/// Ends the metric series of pods that left some time ago.
fn expire(plan: &Plan, parts: &Parts) {
    let metrics = Arc::clone(&plan.metrics);
    let worker = parts.work.worker();
    let own = worker.clone();
    worker.spawn(async move {
        loop {
            tokio::select! {
                () = own.finishing() => return,
                () = time::sleep(EXPIRY) => metrics.expire(Instant::now()),
            }
        }
    });
}

/// Tells the older process to go, and makes sure that it did not take the node back meanwhile.
fn settle(predecessor: Predecessor, generation: u64, parts: &Parts) -> Result<(), Failure> {
    let pid = predecessor.pid;
    match predecessor.ready(generation) {
        Settled::Agreed => {
            info!(pid, "the process before hands over and drains");
            Ok(())
        }
        Settled::Ended if parts.kernel.node.is_owner() => {
            info!(pid, "the process before has ended");
            Ok(())
        }
        Settled::Ended => Err(Failure::new(
            Exit::Cannot,
            format_args!(
                "the process before (pid {pid}) took the node back: this one took too long"
            ),
            "see its log and `culvert status` for pods that cannot be captured, and start again",
        )),
    }
}

fn tell_ready(parts: &Parts, generation: u64) {
    let pods = parts.kernel.dataplane.pods().len();
    info!(generation, pods, captured = captured(&parts.kernel), "ready");
}

/// Drains: connections until the deadline, then the doors. A second signal ends it at once.
async fn finish(
    parts: Parts,
    end: End,
    socket: &UnixListener,
    signals: &mut Signals,
    plan: &Plan,
) -> Told {
    let Parts { work, feeding, doors, serving, feed, listeners, answers, kernel, .. } = parts;
    let deadline = plan.config.drain_deadline;
    let captured = captured(&kernel);
    let _not_ready = answers.readiness.block("draining");
    let mut doors = Some(doors);
    let Feed { reports, .. } = feed;
    fall_silent(reports, serving).await;
    let mut told = match end {
        End::Signal | End::Displaced => {
            info!(?deadline, "draining; a second signal ends it at once");
            Told::ToEnd
        }
        End::Successor(successor) => {
            hand_doors(&mut doors, &successor).await;
            Told::Nothing
        }
    };
    let draining = work.drain(deadline);
    pin!(draining);
    let drained = loop {
        tokio::select! {
            biased;
            drained = &mut draining => break Some(drained),
            () = signals.next() => {
                told = told.again();
                if told == Told::AtOnce {
                    break None;
                }
                info!("told to end; draining on, and another signal ends it at once");
            }
            // Also while it drains for a signal, a newcomer may take over.
            outcome = succeeded(socket, &listeners, &*kernel), if doors.is_some() => {
                if let Outcome::Succeeded(successor) = outcome {
                    hand_doors(&mut doors, &successor).await;
                }
            }
        }
    };
    tell_drained(drained);
    feeding.drain(LAST_ANSWERS).await;
    if let Some(doors) = doors {
        close(doors, plan, captured).await;
    }
    told
}

/// The doors are ours to take away only while nobody else answers on them.
async fn close(doors: Drain, plan: &Plan, captured: usize) {
    remove_sockets(
        &plan.ground.instance.run_dir(),
        &[admin::SOCKET, takeover::SOCKET, culvert_cni::message::SOCKET],
    );
    doors.drain(LAST_ANSWERS).await;
    if captured > 0 {
        warn!(
            pods = captured,
            "new connections of these pods are refused until a process is back; `culvert uninstall` lets them go"
        );
    }
}

fn captured(kernel: &Kernel) -> usize {
    let pods = kernel.dataplane.pods();
    pods.iter().filter(|pod| pod.state == PodPhase::Captured).count()
}

fn tell_drained(drained: Option<Drained>) {
    match drained {
        Some(Drained::Clean) => info!("drained"),
        Some(Drained::Forced(cut)) => warn!(cut, "drain deadline passed; the rest was cut"),
        None => warn!("second signal: the rest was cut"),
    }
}

/// A successor speaks for the node and serves others; nobody else would.
async fn fall_silent(reports: Drain, serving: Drain) {
    reports.drain(Duration::ZERO).await;
    serving.drain(Duration::ZERO).await;
}

/// The successor answers from now on: whoever asks shall not find this process.
async fn hand_doors(doors: &mut Option<Drain>, successor: &Successor) {
    let Successor { version, pid, generation } = successor;
    info!(version, pid, generation, "handed over; draining");
    if let Some(doors) = doors.take() {
        doors.drain(LAST_ANSWERS).await;
    }
}

fn takeover_socket(run_dir: &Path) -> Result<(UnixListener, Place), Failure> {
    let bound = prepare_unix(&run_dir.join(takeover::SOCKET));
    let (bound, place) = bound.map_err(|error| no_place(&error))?;
    let socket = UnixListener::from_std(bound).map_err(|error| no_socket(&error))?;
    Ok((socket, place))
}

fn no_place(error: &ListenError) -> Failure {
    Failure::of(Exit::Cannot, error, "see that /run/culvert can be written")
}

fn no_socket(error: &io::Error) -> Failure {
    let next = "raise the limit of open files (ulimit -n)";
    Failure::new(Exit::Cannot, "cannot listen for newcomers", next).because(error)
}

//! Keeps certificates fresh: one task that owns what is known of every identity of the node.
//!
//! Each identity is on its own: its failures, its back-off, its expiry concern no other. At most
//! so many requests are on the way at once.
use crate::{
    certificate::{Certificate, Parts},
    clock::Clock,
    csr::Key,
    issue::{IssueError, Issuer, Request},
    renew,
    store::{Ask, Identities, Shared, Slot, State},
    tls,
    trust::TrustStore,
};
use culvert_model::identity::Identity;
use culvert_runtime::{
    backoff::Backoff,
    drain::Worker,
    publish::{self, Publisher},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{
    collections::{HashMap, hash_map::Entry as MapEntry},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{self, Instant},
};

/// The clock is looked at this often, since it can be set and a machine can sleep.
const LOOK: Duration = Duration::from_secs(30);

/// How certificates are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For how long they are asked.
    pub validity: Duration,
    /// How many requests may be on the way.
    pub at_once: usize,
    /// How long an answer may take.
    pub patience: Duration,
}

/// What the keeper starts with.
#[derive(Debug)]
pub struct Parties {
    pub issuer: Arc<dyn Issuer>,
    pub trust: TrustStore,
    pub clock: Arc<dyn Clock>,
}

impl Default for Settings {
    /// As ztunnel does.
    fn default() -> Self {
        Self {
            validity: Duration::from_secs(24 * 60 * 60),
            at_once: 8,
            patience: Duration::from_secs(30),
        }
    }
}

/// Starts the keeper; it ends with `worker`.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn start(parties: Parties, settings: Settings, worker: &Worker) -> Identities {
    let Parties { issuer, trust, clock } = parties;
    let (asks, asked) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared { slots: Default::default(), asks, clock, trust });
    let (answers, answered) = mpsc::unbounded_channel();
    let keeper = Keeper {
        shared: Arc::clone(&shared),
        issuer,
        entries: HashMap::new(),
        answers,
        room: Arc::new(Semaphore::new(settings.at_once)),
        settings,
        made: 0,
        newest_roots: 0,
        worker: worker.clone(),
    };
    worker.spawn(keeper.run(asked, answered));
    Identities { shared }
}

struct Keeper {
    shared: Arc<Shared>,
    issuer: Arc<dyn Issuer>,
    entries: HashMap<Identity, Entry>,
    answers: mpsc::UnboundedSender<Answered>,
    room: Arc<Semaphore>,
    settings: Settings,
    /// Counts requests; the number of one is the generation of its certificate.
    made: u64,
    /// The request whose roots are in force: the answer to an earlier one does not undo them.
    newest_roots: u64,
    worker: Worker,
}

struct Entry {
    /// How many workloads hold it; none: it was wanted once.
    holds: usize,
    slot: Arc<Slot>,
    publisher: Publisher<State>,
    backoff: Backoff,
    next: Next,
    /// The issuer changed while a request was on the way: its answer may be the old issuer's.
    again: bool,
    /// A workload holds it since the request went out: a refusal may be of the time before.
    is_news: bool,
}

#[derive(Clone, Copy)]
enum Next {
    /// This request is on the way.
    Asked(u64),
    /// To be renewed then, by the wall clock.
    Renewal(UnixTime),
    /// To be tried again then, by the machine's own.
    Retry(Instant),
}

/// The outcome of one request.
struct Answered {
    identity: Identity,
    number: u64,
    outcome: Result<Fresh, IssueError>,
}

struct Fresh {
    certificate: Certificate,
    roots: Vec<CertificateDer<'static>>,
}

impl Keeper {
    async fn run(
        mut self,
        mut asked: mpsc::UnboundedReceiver<Ask>,
        mut answered: mpsc::UnboundedReceiver<Answered>,
    ) {
        let issuer = Arc::clone(&self.issuer);
        let mut changed = issuer.changed();
        loop {
            let wake = self.wake();
            tokio::select! {
                // Neither channel closes: this task has a sender of each.
                Some(ask) = asked.recv() => self.ask(ask),
                Some(answer) = answered.recv() => self.answer(answer),
                () = time::sleep_until(wake) => self.look(),
                () = &mut changed => {
                    changed = issuer.changed();
                    self.replace_all();
                }
                () = self.worker.finishing() => return,
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Hold(identity) => self.hold(&identity),
            Ask::Release(identity) => {
                if let MapEntry::Occupied(mut entry) = self.entries.entry(identity) {
                    let holds = &mut entry.get_mut().holds;
                    *holds = holds.saturating_sub(1);
                    if *holds == 0 {
                        let given_up = entry.remove();
                        self.publish_slots();
                        // Only now: who waits in its slot is to find that it is no longer there.
                        drop(given_up);
                    }
                }
            }
            Ask::Want(identity, answer) => {
                self.entry(&identity);
                // Whoever asked may have gone.
                _ = answer.send(());
            }
        }
    }

    /// One workload more holds it. What was refused before there was any is asked for anew at once:
    /// that there is one now is what the issuer may have missed.
    fn hold(&mut self, identity: &Identity) {
        let was_there = self.entries.contains_key(identity);
        let entry = self.entry(identity);
        entry.holds += 1;
        if !was_there || entry.holds > 1 {
            return;
        }
        match entry.next {
            Next::Asked(_) => entry.is_news = true,
            Next::Renewal(_) => {}
            Next::Retry(_) => {
                entry.backoff.reset();
                // Who asks from now on waits for the new answer.
                let certificate = entry.slot.state.pin().value.certificate.clone();
                entry.publisher.publish(State { certificate, failure: None });
                self.ask_again(identity);
            }
        }
    }

    /// The entry of `identity`; a new one is asked for at once.
    fn entry(&mut self, identity: &Identity) -> &mut Entry {
        if !self.entries.contains_key(identity) {
            let number = self.request(identity);
            let (publisher, state) = publish::channel(State::default());
            let slot = Arc::new(Slot { state, used: AtomicBool::new(false) });
            let (backoff, next) = (renew::backoff(), Next::Asked(number));
            let (again, is_news) = (false, false);
            let entry = Entry { holds: 0, slot, publisher, backoff, next, again, is_news };
            self.entries.insert(identity.clone(), entry);
            self.publish_slots();
        }
        self.entries.get_mut(identity).expect("was just put there")
    }

    fn publish_slots(&self) {
        let slots = self.entries.iter().map(|(id, entry)| (id.clone(), Arc::clone(&entry.slot)));
        self.shared.slots.store(Arc::new(slots.collect()));
    }

    /// Sends a request on its way; its number comes back with the answer.
    fn request(&mut self, identity: &Identity) -> u64 {
        self.made += 1;
        let number = self.made;
        let (identity, settings) = (identity.clone(), self.settings);
        let (issuer, room) = (Arc::clone(&self.issuer), Arc::clone(&self.room));
        let (shared, answers) = (Arc::clone(&self.shared), self.answers.clone());
        let worker = self.worker.clone();
        self.worker.spawn(async move {
            let asking = async {
                // Held until the answer is there; the semaphore is never closed.
                let _room = room.acquire().await;
                obtain(&*issuer, &shared, &identity, (number, settings)).await
            };
            let outcome = tokio::select! {
                outcome = asking => outcome,
                () = worker.finishing() => return,
            };
            // The keeper may have ended first.
            answers.send(Answered { identity, number, outcome }).unwrap_or_default();
        });
        number
    }

    fn answer(&mut self, Answered { identity, number, outcome }: Answered) {
        let now = self.shared.clock.now();
        // An entry given up and made anew has another request on the way.
        let Some(entry) = self.entries.get_mut(&identity) else { return };
        if !matches!(entry.next, Next::Asked(on_the_way) if on_the_way == number) {
            return;
        }
        let is_news = std::mem::take(&mut entry.is_news);
        match outcome {
            Err(error) if is_news => {
                tracing::debug!(%identity, %error, "asked again, for somebody holds it since");
                self.ask_again(&identity);
            }
            Ok(Fresh { certificate, roots }) => {
                let validity = certificate.validity();
                let not_after = validity.not_after.as_secs();
                tracing::info!(%identity, serial = certificate.serial(), not_after, "certificate issued");
                // Trust first: whoever is shown the new certificate may want its root.
                if number > self.newest_roots {
                    self.newest_roots = number;
                    believe(&self.shared.trust, &roots);
                }
                entry.backoff.reset();
                let again = std::mem::take(&mut entry.again);
                let due = if again { now } else { renew::due(validity, now, tls::dice()) };
                entry.next = Next::Renewal(due);
                let certificate = Some(Arc::new(certificate));
                entry.publisher.publish(State { certificate, failure: None });
            }
            Err(error) => {
                let wait = entry.backoff.next(tls::dice());
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%identity, %error, cause, again_in = ?wait, "no certificate");
                entry.next = Next::Retry(Instant::now() + wait);
                entry.again = false;
                let certificate = entry.slot.state.pin().value.certificate.clone();
                let failure = Some(Arc::new(error));
                entry.publisher.publish(State { certificate, failure });
            }
        }
    }

    /// Asks for what is due, and lets go of what nobody came back for.
    fn look(&mut self) {
        let (now, instant) = (self.shared.clock.now(), Instant::now());
        let due = |entry: &Entry| match entry.next {
            Next::Asked(_) => false,
            Next::Renewal(at) => at.as_secs() <= now.as_secs(),
            Next::Retry(at) => at <= instant,
        };
        let unwanted = |entry: &Entry| entry.holds == 0 && !entry.slot.used.load(Ordering::Relaxed);
        let given_up: Vec<_> =
            self.entries.extract_if(|_, entry| due(entry) && unwanted(entry)).collect();
        if !given_up.is_empty() {
            self.publish_slots();
            drop(given_up);
        }
        let due = self.entries.iter().filter(|(_, entry)| due(entry));
        let due: Vec<Identity> = due.map(|(identity, _)| identity.clone()).collect();
        due.iter().for_each(|identity| self.ask_again(identity));
    }

    /// Sends another request on its way.
    fn ask_again(&mut self, identity: &Identity) {
        let number = self.request(identity);
        if let Some(entry) = self.entries.get_mut(identity) {
            entry.next = Next::Asked(number);
            entry.slot.used.store(false, Ordering::Relaxed);
        }
    }

    /// Replaces every certificate, as the issuer asks.
    fn replace_all(&mut self) {
        tracing::info!("the issuer changed, all certificates are replaced");
        let now = self.shared.clock.now();
        for entry in self.entries.values_mut() {
            match entry.next {
                Next::Asked(_) => entry.again = true,
                Next::Renewal(_) | Next::Retry(_) => {
                    entry.next = Next::Renewal(now);
                    entry.backoff.reset();
                }
            }
        }
        self.look();
    }

    /// When the next thing is due.
    fn wake(&self) -> Instant {
        let (now, instant) = (self.shared.clock.now(), Instant::now());
        let due = self.entries.values().filter_map(|entry| match entry.next {
            Next::Asked(_) => None,
            Next::Renewal(at) => Some(instant + crate::certificate::until(now, at).min(LOOK)),
            Next::Retry(at) => Some(at),
        });
        due.min().unwrap_or(instant + LOOK).min(instant + LOOK)
    }
}

/// From now on `roots` and no others.
fn believe(trust: &TrustStore, roots: &[CertificateDer<'static>]) {
    match trust.set_roots(roots) {
        Ok(true) => tracing::info!(roots = roots.len(), "the roots of the mesh changed"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "roots are not used"),
    }
}

/// Makes a key, has it certified, and checks what came.
async fn obtain(
    issuer: &dyn Issuer,
    shared: &Shared,
    identity: &Identity,
    (generation, settings): (u64, Settings),
) -> Result<Fresh, IssueError> {
    let key = Key::generate()?;
    let csr = key.request(identity)?;
    let request = Request { identity: identity.clone(), csr, validity: settings.validity };
    let issued = time::timeout(settings.patience, issuer.issue(&request))
        .await
        .map_err(|_elapsed| IssueError::Slow(settings.patience))??;
    let roots = issued.roots.clone();
    let parts = Parts { identity, generation, key: &key, issued };
    let certificate = Certificate::try_new(parts, shared.trust.view(), &shared.clock)?;
    Ok(Fresh { certificate, roots })
}

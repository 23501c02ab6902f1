//! From one snapshot to the next.
use super::{Inner, doors::Door, view::ListenerView};
use crate::{
    chain::Chain,
    listener::{
        Active,
        socket::{Plan, Socket},
    },
    network::Making,
};
use culvert_model::http::{
    listener::{Direction, Listener},
    snapshot::{Resource, Snapshot},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time;

/// How long the first connections are kept waiting until endpoints have been checked.
const WARMING: Duration = Duration::from_secs(15);

/// The listeners there are.
#[derive(Default)]
pub(super) struct State {
    /// Endpoints were waited for before the first connection came.
    warm: bool,
    /// Listeners of inbound traffic have no sockets any more.
    no_inbound: bool,
    listeners: BTreeMap<Arc<str>, Running>,
    doors: Vec<Door>,
}

/// A listener.
struct Running {
    /// What it is.
    active: Option<Arc<Active>>,
    /// What it is to be.
    wanted: Arc<Listener>,
    version: Arc<str>,
    /// Why it is not.
    error: Option<String>,
}

/// Sockets that nobody listens to at the moment.
type Spare = Vec<(Plan, Arc<Socket>)>;

/// A listener that becomes another.
struct Change {
    name: Arc<str>,
    active: Arc<Active>,
    plans: Vec<Plan>,
}

impl Inner {
    /// Makes everything what a snapshot says.
    pub(super) async fn apply(self: &Arc<Self>, snapshot: &Snapshot) {
        self.shared.upstreams.apply(snapshot);
        let mut state = self.state.lock().await;
        if !state.warm && !snapshot.listeners().is_empty() {
            // Those that are not well by then are not waited for any longer.
            let _late = time::timeout(WARMING, self.shared.upstreams.warm()).await;
            state.warm = true;
        }
        let mut spare = self.remove(&mut state, snapshot).await;
        let mut changes = Vec::new();
        let mut all: Vec<_> = snapshot.listeners().iter().collect();
        // Of two that want the same address, always the same one gets it.
        all.sort_by(|a, b| a.0.cmp(b.0));
        for (name, resource) in all {
            changes.extend(self.prepare(&mut state, name, resource));
        }
        // All sockets are free before any is taken: listeners may change places.
        for change in &changes {
            let gone = |door: &Door| door.is_of(&change.name) && !change.plans.contains(&door.plan);
            close(&mut state.doors, gone, &mut spare).await;
        }
        for change in changes {
            self.change(&mut state, change, &mut spare);
        }
        drop(spare);
        state.listeners.values().filter_map(|one| one.active.as_ref()).for_each(|active| {
            active.follow(snapshot);
        });
        self.directory.set(state.listeners.values().filter_map(|one| one.active.clone()));
        self.show(&state);
        drop(state);
        self.applied.send_replace(snapshot.generation);
    }

    /// Takes no more connections, and gives all addresses back.
    pub(super) async fn close(&self) {
        let mut state = self.state.lock().await;
        close(&mut state.doors, |_| true, &mut Vec::new()).await;
        self.show(&state);
    }

    /// Takes no more connections of inbound traffic, and gives those addresses back.
    pub(super) async fn stop_inbound(self: &Arc<Self>) {
        let mut state = self.state.lock().await;
        state.no_inbound = true;
        let active = state.listeners.values().filter_map(|one| one.active.clone());
        let inbound: Vec<_> = active.filter(|one| is_inbound(&one.config)).collect();
        for active in inbound {
            close(&mut state.doors, |door| door.is_of(&active.config.name), &mut Vec::new()).await;
            active.all().for_each(|chain| self.drain(chain));
        }
        self.show(&state);
    }

    /// Ends listeners that are no longer wanted; their sockets are left.
    async fn remove(self: &Arc<Self>, state: &mut State, snapshot: &Snapshot) -> Spare {
        let mut spare = Vec::new();
        let wanted = |name: &Arc<str>| snapshot.listeners().get(name).is_some();
        let gone: Vec<_> = state.listeners.keys().filter(|name| !wanted(name)).cloned().collect();
        for name in gone {
            close(&mut state.doors, |door| door.is_of(&name), &mut spare).await;
            let Some(running) = state.listeners.remove(&name) else { continue };
            self.counts.removed.inc();
            if let Some(active) = running.active {
                active.all().for_each(|chain| self.drain(chain));
            }
        }
        spare
    }

    /// What a listener becomes, if it becomes another.
    fn prepare(
        self: &Arc<Self>,
        state: &mut State,
        name: &Arc<str>,
        resource: &Resource<Listener>,
    ) -> Option<Change> {
        let wanted = &resource.value;
        let has_sockets = !(state.no_inbound && is_inbound(wanted));
        let running = state.listeners.get_mut(name);
        let is_new = running.is_none();
        if let Some(running) = running {
            running.version = Arc::clone(&resource.version);
            let same = Arc::ptr_eq(&running.wanted, wanted) || *running.wanted == **wanted;
            if same && running.error.is_none() {
                return None;
            }
            if !same {
                self.counts.modified.inc();
            }
            running.wanted = Arc::clone(wanted);
        }
        if is_new {
            self.counts.added.inc();
        }
        let running = state.listeners.entry(Arc::clone(name)).or_insert_with(|| Running {
            active: None,
            wanted: Arc::clone(wanted),
            version: Arc::clone(&resource.version),
            error: None,
        });
        let making = Making {
            shared: &self.shared,
            worker: &self.worker,
            managers: &*self.managers,
            buckets: &self.buckets,
        };
        match Active::try_new(wanted, running.active.as_deref(), &making) {
            Ok(active) => Some(Change {
                name: Arc::clone(name),
                active: Arc::new(active),
                plans: if has_sockets && self.options.binds { plans(wanted) } else { Vec::new() },
            }),
            Err(error) => {
                self.fail(running, error);
                None
            }
        }
    }

    /// A listener takes its sockets and becomes what it is to be, or stays what it was.
    fn change(self: &Arc<Self>, state: &mut State, change: Change, spare: &mut Spare) {
        let Change { name, active, plans } = change;
        let sockets = self.sockets(state, &name, &plans, spare);
        let Some(running) = state.listeners.get_mut(&name) else { return };
        let sockets = match sockets {
            Ok(sockets) => sockets,
            Err(error) => {
                self.fail(running, error);
                let Some(old) = running.active.clone() else { return };
                // It goes on where it was, as far as those places are still free.
                let old_plans = self::plans(&old.config);
                let back = spare.extract_if(.., |(plan, _)| old_plans.contains(plan));
                let doors = back.map(|(plan, socket)| Door::open(plan, socket, &old, self));
                state.doors.extend(doors.collect::<Vec<_>>());
                return;
            }
        };
        for door in state.doors.iter().filter(|door| door.is_of(&name)) {
            door.lead_to(&active);
        }
        let doors =
            sockets.into_iter().map(|(plan, socket)| Door::open(plan, socket, &active, self));
        state.doors.extend(doors.collect::<Vec<_>>());
        running.error = None;
        self.counts.created.inc();
        if let Some(old) = running.active.replace(Arc::clone(&active)) {
            self.counts.in_place.inc();
            old.all().filter(|chain| !active.has(chain)).for_each(|chain| self.drain(chain));
        }
    }

    /// The sockets that a listener does not have yet.
    fn sockets(
        &self,
        state: &State,
        name: &str,
        plans: &[Plan],
        spare: &mut Spare,
    ) -> Result<Spare, String> {
        let mut sockets = Vec::new();
        let own =
            |plan: &Plan| state.doors.iter().any(|door| door.is_of(name) && door.plan == *plan);
        for plan in plans.iter().filter(|plan| !own(plan)) {
            if let Some(at) = spare.iter().position(|(one, _)| one == plan) {
                sockets.push(spare.swap_remove(at));
                continue;
            }
            // A socket of another kind would be in the way of one at the same address.
            spare.retain(|(one, _)| one.address != plan.address);
            let taken = state
                .doors
                .iter()
                .find(|door| door.plan.address == plan.address && plan.address.port() != Some(0));
            if let Some(door) = taken {
                return Err(format!("{plan} is taken by listener {}", door.name()));
            }
            match Door::socket(plan) {
                Ok(socket) => sockets.push((plan.clone(), socket)),
                Err(error) => {
                    spare.append(&mut sockets);
                    return Err(error.to_string());
                }
            }
        }
        Ok(sockets)
    }

    fn fail(&self, running: &mut Running, error: String) {
        self.counts.failed.inc();
        let name = &running.wanted.name;
        tracing::error!(listener = %name, %error, "listener is not what it is to be");
        running.error = Some(error);
    }

    fn drain(self: &Arc<Self>, chain: &Arc<Chain>) {
        chain.drain(self.options.drain, &self.worker, self.counts.draining.raise());
    }

    fn show(&self, state: &State) {
        let view = state.listeners.iter().map(|(name, running)| {
            let doors = state.doors.iter().filter(|door| door.is_of(name));
            let trouble = || running.active.as_ref()?.trouble();
            ListenerView {
                name: Arc::clone(name),
                version: Arc::clone(&running.version),
                config: running.active.as_ref().map(|active| Arc::clone(&active.config)),
                addresses: doors.map(|door| door.socket.address(&door.plan)).collect(),
                error: running.error.clone().or_else(trouble),
            }
        });
        let view: Vec<_> = view.collect();
        let active = view.iter().filter(|one| one.config.is_some()).count();
        self.counts.active.set(active as u64);
        *self.view.lock() = view;
    }
}

fn is_inbound(listener: &Listener) -> bool {
    listener.direction == Direction::Inbound
}

/// The sockets that a listener is to have.
fn plans(listener: &Listener) -> Vec<Plan> {
    if !listener.bind {
        return Vec::new();
    }
    listener.addresses.iter().map(|at| Plan::new(listener, at)).collect()
}

async fn close(doors: &mut Vec<Door>, gone: impl Fn(&Door) -> bool, spare: &mut Spare) {
    for door in doors.extract_if(.., |door| gone(door)).collect::<Vec<_>>() {
        spare.push(door.close().await);
    }
}

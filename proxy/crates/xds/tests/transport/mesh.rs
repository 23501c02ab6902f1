//! A control plane that can be stopped and started, and nodes that follow it.
use culvert_model::{
    authz::{Action, Authorization, Scope},
    name::ObjectName,
};
use culvert_proto::istio::workload;
use culvert_runtime::{
    drain::{Drain, Worker},
    publish::{self, Publisher, View},
};
use culvert_xds::{
    client::Mode,
    decode,
    resource::{Address, Name, Resource as _},
    server::Worlds,
    transport::{
        BoxIo,
        discovery::{Caller, Discovery, Gate, Pass},
        door::{Door, Peer},
        follow::{Apply, Changed, Follower, Holdings, Who},
        nodes::Nodes,
        upstream::{Connect, Upstream},
    },
};
use parking_lot::Mutex;
use std::{io, sync::Arc, time::Duration};
use tokio::sync::watch;
use tonic::{Status, async_trait, service::Routes};

/// The control plane's side; its door comes and goes.
pub(crate) struct Control {
    pub(crate) publisher: Publisher<Worlds>,
    pub(crate) view: View<Worlds>,
    pub(crate) nodes: Nodes,
    pub(crate) gate: Arc<Password>,
    door: Arc<Mutex<Option<Door>>>,
    running: Option<Drain>,
}

/// Lets in who has the word.
#[derive(Debug, Default)]
pub(crate) struct Password {
    /// `None`: everybody has it.
    pub(crate) word: Mutex<Option<String>>,
    /// Whoever comes is a guest.
    pub(crate) guests: Mutex<bool>,
}

/// What a node has been given, as names in the order of application.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    holds: watch::Sender<Vec<Name>>,
}

#[async_trait]
impl Gate for Password {
    async fn admit(&self, caller: &Caller<'_>) -> Result<Pass, Status> {
        match &*self.word.lock() {
            Some(word) if caller.bearer != Some(word) => {
                Err(Status::unauthenticated(format!("{} has not the word", caller.node)))
            }
            Some(_) | None if *self.guests.lock() => Ok(Pass::guest()),
            Some(_) | None => Ok(Pass::lasting()),
        }
    }
}

impl Apply for Seen {
    fn apply(&mut self, holdings: &Holdings, changed: Changed) {
        let text = match changed {
            Changed::Addresses(changes, _) => format!("{} addresses", changes.len()),
            Changed::Policies(changes, _) => format!("{} policies", changes.len()),
        };
        self.log.lock().push(text);
        let names = holdings.addresses.held().map(Address::name);
        let policies = holdings.policies.held().map(|policy| policy.name());
        self.holds.send_replace(names.chain(policies).collect());
    }
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self { log: Arc::default(), holds: watch::Sender::new(Vec::new()) }
    }

    pub(crate) async fn until(&self, expect: &[&str]) {
        let mut holds = self.holds.subscribe();
        let as_expected =
            |names: &Vec<Name>| names.iter().map(|name| &**name).eq(expect.iter().copied());
        holds.wait_for(as_expected).await.unwrap();
    }
}

impl Control {
    pub(crate) fn new() -> Self {
        let (publisher, view) = publish::channel(Worlds::default());
        let mut control = Self {
            publisher,
            view,
            nodes: Nodes::default(),
            gate: Arc::default(),
            door: Arc::default(),
            running: None,
        };
        control.start();
        control
    }

    pub(crate) fn start(&mut self) {
        let running = Drain::default();
        let gate: Arc<dyn Gate> = Arc::<Password>::clone(&self.gate);
        let (view, nodes) = (self.view.clone(), self.nodes.clone());
        let service = Discovery::new(view, nodes, gate, running.worker());
        let routes = Routes::new(service.into_route());
        *self.door.lock() = Some(Door::open(routes, &running.worker()));
        self.running = Some(running);
    }

    pub(crate) async fn stop(&mut self) {
        *self.door.lock() = None;
        if let Some(running) = self.running.take() {
            running.drain(Duration::from_secs(2)).await;
        }
    }

    /// Waits until the nodes are as `wanted` says.
    pub(crate) async fn until(&self, wanted: impl Fn(&Nodes, &Worlds) -> bool) {
        let mut changes = self.nodes.changes();
        let is_so = |_: &u64| wanted(&self.nodes, &self.view.pin().value);
        drop(changes.wait_for(is_so).await.unwrap());
    }

    /// Replaces what there is.
    pub(crate) fn set(&mut self, addresses: &[Address], policies: &[Arc<Authorization>]) -> u64 {
        let mut worlds = self.view.pin().value.clone();
        worlds.addresses.replace(addresses);
        worlds.policies.replace(policies);
        let sequence = worlds.addresses.sequence();
        self.publisher.publish(worlds);
        sequence
    }

    /// The way to it, over a pipe in memory.
    pub(crate) fn upstream(&self) -> Upstream {
        let door = Arc::clone(&self.door);
        let connect: Connect = Arc::new(move || {
            let door = door.lock().clone();
            Box::pin(async move {
                let door = door.ok_or(io::ErrorKind::ConnectionRefused)?;
                let (here, there) = tokio::io::duplex(64 << 10);
                let entered = door.enter(there, Peer::default()).await;
                let io = entered.map(|_| Box::new(here) as BoxIo);
                io.ok_or(io::ErrorKind::ConnectionReset.into())
            })
        });
        Upstream::try_new("https://control.test:15012", connect).unwrap()
    }
}

pub(crate) fn follow(upstream: Upstream, mode: Mode, seen: &Seen, worker: &Worker) -> Follower {
    let who = Who {
        node: "a".into(),
        cluster: "c".into(),
        ip: "1.1.1.1".into(),
        name: "culvert".into(),
        namespace: "ns".into(),
        version: "0".into(),
    };
    Follower::start(upstream, &who, mode, seen.clone(), worker)
}

pub(crate) fn address(name: &str, last: u8) -> Address {
    let message = workload::Workload {
        uid: name.into(),
        namespace: "ns".into(),
        addresses: vec![vec![10, 0, 0, last].into()],
        ..workload::Workload::default()
    };
    Address::Member(Arc::new(decode::workload::decode(message).unwrap()))
}

pub(crate) fn policy(name: &str) -> Arc<Authorization> {
    Arc::new(Authorization {
        name: ObjectName::new("ns", name),
        scope: Scope::Namespace,
        action: Action::Deny,
        dry_run: false,
        rules: Box::default(),
        origin: Some("file.yaml:3".into()),
    })
}

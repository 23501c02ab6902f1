//! What the control plane knows at one moment: what is wanted, what nodes say, what is announced.
use crate::{
    announce::{Announcer, Place},
    compile::{
        incremental::Changes,
        mesh::{Closing, Wanted},
    },
};
use culvert_model::name::{ObjectName, WorkloadUid};
use culvert_proto::culvert::node::v1::Hello;
use culvert_xds::{
    report::{MeshSettings, Order, Sheet},
    transport::{
        door::Peer,
        reports::{Event, Orders, What},
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// All of it; looked at under a lock, and never for long.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) announcer: Announcer,
    pub(crate) members: BTreeMap<WorkloadUid, Arc<Wanted>>,
    pub(crate) closing: BTreeMap<ObjectName, Arc<Closing>>,
    pub(crate) services: usize,
    pub(crate) policies: usize,
    pub(crate) settings: MeshSettings,
    /// By the number of their stream: of one node the last counts.
    pub(crate) reporters: BTreeMap<u64, Reporter>,
    /// Why what was announced could not be written down.
    pub(crate) unsaved: Option<String>,
}

/// One node's report.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) node: Arc<str>,
    pub(crate) hello: Hello,
    pub(crate) peer: Peer,
    pub(crate) since: Instant,
    pub(crate) sheet: Sheet,
    orders: Orders,
}

impl Scene {
    pub(crate) fn new(announcer: Announcer) -> Self {
        Self {
            announcer,
            members: BTreeMap::new(),
            closing: BTreeMap::new(),
            services: 0,
            policies: 0,
            settings: MeshSettings::default(),
            reporters: BTreeMap::new(),
            unsaved: None,
        }
    }

    /// Takes in what the objects changed.
    pub(crate) fn change(&mut self, changes: &Changes, now: Instant) {
        for (uid, wanted) in &changes.members {
            match wanted {
                Some(wanted) => drop(self.members.insert(uid.clone(), Arc::clone(wanted))),
                None => drop(self.members.remove(uid)),
            }
            self.announcer.set(uid, wanted.as_deref().map(place), now);
        }
        for (name, closing) in &changes.closing {
            match closing {
                Some(closing) => drop(self.closing.insert(name.clone(), Arc::clone(closing))),
                None => drop(self.closing.remove(name)),
            }
        }
    }

    /// Takes in what a node did.
    pub(crate) fn hear(&mut self, event: Event, (version, life): (&str, &str)) {
        let Event { stream, node, what } = event;
        match what {
            What::Came { hello, peer, orders } => {
                tracing::info!(node = &*node, version = hello.version, "a node reports");
                orders.send(Order::Welcome { version: version.to_owned(), life: life.to_owned() });
                orders.send(Order::Mesh(self.settings.clone()));
                self.announcer.came(&node, stream);
                let (since, sheet) = (Instant::now(), Sheet::default());
                self.reporters.insert(stream, Reporter { node, hello, peer, since, sheet, orders });
            }
            What::Said(report) => {
                let Some(reporter) = self.reporters.get_mut(&stream) else { return };
                match reporter.sheet.hear(report) {
                    Ok(()) => self.announcer.heard(&node, stream, &reporter.sheet.pods),
                    Err(error) => {
                        tracing::warn!(node = &*node, %error, "a report makes no sense");
                        reporter.orders.end(error);
                    }
                }
            }
            What::Left => {
                tracing::info!(node = &*node, "a node does not report any more");
                self.announcer.left(&node, stream);
                self.reporters.remove(&stream);
            }
        }
    }

    /// Gives an order to a node; `false` when it did not get through.
    pub(crate) fn give(&mut self, node: &Arc<str>, order: Order) -> bool {
        let last = self.reporters.values().rev().find(|reporter| reporter.node == *node);
        // Who has left is told when it comes again.
        let sent = last.is_none_or(|reporter| reporter.orders.send(order));
        if !sent {
            self.announcer.unsent(node);
        }
        sent
    }

    /// Tells everybody of other settings.
    pub(crate) fn set_settings(&mut self, settings: MeshSettings) {
        if self.settings != settings {
            let (before, now) = (&self.settings.trust_domain, &settings.trust_domain);
            if !before.is_empty() && before != now {
                tracing::warn!(
                    "trust domain {now} needs a restart: until then {before} is signed for"
                );
            }
            for reporter in self.reporters.values() {
                if !reporter.orders.send(Order::Mesh(settings.clone())) {
                    reporter.orders.end("the mesh's settings did not get through");
                }
            }
            self.settings = settings;
        }
    }
}

fn place(wanted: &Wanted) -> Place {
    Place {
        node: Arc::clone(&wanted.member.node),
        enrolled: wanted.enrolled,
        recorded: wanted.recorded,
    }
}

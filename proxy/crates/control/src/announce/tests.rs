use super::*;
use culvert_model::name::ObjectName;
use culvert_xds::report::Pod;
use proptest::{collection, prelude::*};

mod finish;
mod replicas;

const UIDS: [&str; 3] = ["u0", "u1", "u2"];
const NODES: [&str; 2] = ["a", "b"];

/// Something that happens.
#[derive(Clone, Debug)]
enum Happens {
    /// The objects put a workload on a node, or do not have it.
    Objects(usize, Option<(usize, bool)>),
    /// A node says how a pod is, or that it is gone.
    Says(usize, usize, Option<PodState>),
    Comes(usize),
    Leaves(usize),
    /// A node accepts all that there is.
    Accepts(usize),
    Passes(u64),
    Restart,
}

/// A control plane with its nodes, and what they know.
struct Mesh {
    announcer: Announcer,
    now: Instant,
    sequence: u64,
    places: BTreeMap<WorkloadUid, Place>,
    /// What is published.
    shown: BTreeMap<WorkloadUid, (Arc<str>, Shown)>,
    /// When HBONE began for a workload on a node, and when it ended.
    began: BTreeMap<(WorkloadUid, Arc<str>), (u64, Instant)>,
    ended: BTreeMap<(WorkloadUid, Arc<str>), (u64, Instant)>,
    nodes: BTreeMap<Arc<str>, Node>,
    streams: u64,
}

#[derive(Default)]
struct Node {
    stream: Option<u64>,
    pods: Pods,
    acked: u64,
    told: BTreeSet<WorkloadUid>,
}

fn uid(at: usize) -> WorkloadUid {
    WorkloadUid::new(UIDS[at])
}

fn pod(state: PodState) -> Pod {
    Pod { name: ObjectName::new("ns", "p"), state }
}

impl Mesh {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            announcer: Announcer::new(Record::default(), now),
            now,
            sequence: 1,
            places: BTreeMap::new(),
            shown: BTreeMap::new(),
            began: BTreeMap::new(),
            ended: BTreeMap::new(),
            nodes: NODES.map(|node| (Arc::from(node), Node::default())).into(),
            streams: 0,
        }
    }

    fn acked(&self) -> Acked {
        let mut acked = Acked::default();
        for (name, node) in self.nodes.iter().filter(|(_, node)| node.stream.is_some()) {
            acked.insert(Arc::clone(name), node.acked, []);
        }
        acked
    }

    fn happen(&mut self, what: &Happens) {
        let node_name = |at: usize| Arc::<str>::from(NODES[at]);
        match what {
            Happens::Objects(at, place) => {
                match place {
                    Some((node, enrolled)) => {
                        let (node, enrolled) = (node_name(*node), *enrolled);
                        let place = Place { node, enrolled, recorded: false };
                        self.places.insert(uid(*at), place);
                    }
                    None => drop(self.places.remove(&uid(*at))),
                }
                let place = self.places.get(&uid(*at)).cloned();
                self.announcer.set(&uid(*at), place, self.now);
            }
            Happens::Says(at, of, state) => {
                let name = node_name(*at);
                let node = self.nodes.get_mut(&name).unwrap();
                match state {
                    Some(state) => drop(node.pods.insert(uid(*of), pod(state.clone()))),
                    None => drop(node.pods.remove(&uid(*of))),
                }
                if let Some(stream) = node.stream {
                    self.announcer.heard(&name, stream, &node.pods);
                }
            }
            Happens::Comes(at) => self.come(&node_name(*at)),
            Happens::Leaves(at) => {
                let name = node_name(*at);
                let node = self.nodes.get_mut(&name).unwrap();
                if let Some(stream) = node.stream.take() {
                    self.announcer.left(&name, stream);
                }
            }
            Happens::Accepts(at) => {
                let (node, sequence) = (node_name(*at), self.sequence);
                self.nodes.get_mut(&node).unwrap().acked = sequence;
            }
            Happens::Passes(ms) => self.now += Duration::from_millis(*ms),
            Happens::Restart => {
                // Only the record is left; it was written before anything was published.
                self.announcer = Announcer::new(self.announcer.record(), self.now);
                for node in self.nodes.values_mut() {
                    (node.stream, node.acked) = (None, 0);
                }
                self.set_all();
            }
        }
        self.settle();
    }

    fn come(&mut self, name: &Arc<str>) {
        self.streams += 1;
        let node = self.nodes.get_mut(name).unwrap();
        (node.stream, node.acked, node.told) = (Some(self.streams), 0, BTreeSet::new());
        self.announcer.came(name, self.streams);
        self.announcer.heard(name, self.streams, &node.pods);
    }

    fn set_all(&mut self) {
        for (uid, place) in &self.places {
            self.announcer.set(uid, Some(place.clone()), self.now);
        }
    }

    /// Publishes and gives orders, and sees to it that all of that is right.
    fn settle(&mut self) {
        for _ in 0..3 {
            let step = self.announcer.step(self.now, &self.acked());
            self.sequence += 1;
            self.publish();
            for (node, order) in step.orders {
                self.obey(&node, order);
            }
            self.announcer.published(self.sequence, self.now);
        }
        // Who comes later is told what is so then.
        let (ended, mut began) = (self.ended.clone(), self.began.clone());
        self.ended =
            ended.into_iter().filter(|(_, (at, when))| !self.all_know(*at, *when)).collect();
        for (at, when) in began.values_mut() {
            if self.all_know(*at, *when) {
                (*at, *when) = (0, self.now - LIMIT);
            }
        }
        self.began = began;
    }

    fn publish(&mut self) {
        let (now, sequence) = (self.now, self.sequence);
        let current: BTreeMap<_, _> = (self.places.iter())
            .map(|(uid, place)| (uid.clone(), (Arc::clone(&place.node), self.announcer.shown(uid))))
            .collect();
        for (uid, (node, before)) in &self.shown {
            let after = current.get(uid).filter(|(other, _)| other == node);
            let key = (uid.clone(), Arc::clone(node));
            let is = after.map(|(_, shown)| *shown).unwrap_or_default();
            if before.hbone && !is.hbone {
                let place = self.places.get(uid);
                let wanted = place.is_some_and(|place| place.enrolled && place.node == *node);
                assert!(!wanted, "a captured workload was turned back to plain text");
                self.began.remove(&key);
                self.ended.insert(key, (sequence, now));
            }
        }
        for (uid, (node, is)) in &current {
            let before = self.shown.get(uid).filter(|(other, _)| other == node);
            let before = before.map(|(_, shown)| *shown).unwrap_or_default();
            let key = (uid.clone(), Arc::clone(node));
            assert!(is.hbone || !is.strict, "plain text is refused, and nothing else announced");
            if is.hbone && !before.hbone {
                let said = self.announcer.said(uid);
                assert_eq!(said, Some(&PodState::Captured), "nobody holds it");
                self.began.insert(key.clone(), (sequence, now));
                self.ended.remove(&key);
            }
            if is.strict && !before.strict {
                let (since, at) = self.began[&key];
                assert!(self.all_know(since, at), "plain text is refused of who knows no better");
            }
        }
        self.shown = current;
    }

    /// Whether everybody has accepted what was published then, or was waited for.
    fn all_know(&self, sequence: u64, at: Instant) -> bool {
        let mut connected = self.nodes.values().filter(|node| node.stream.is_some()).peekable();
        let any = connected.peek().is_some();
        (any && connected.all(|node| node.acked >= sequence)) || self.now >= at + LIMIT
    }

    fn obey(&mut self, name: &Arc<str>, order: Order) {
        match order {
            Order::Release(uids) => {
                for uid in uids {
                    let key = (uid.clone(), Arc::clone(name));
                    assert!(!self.began.contains_key(&key), "released while it is announced");
                    if let Some((sequence, at)) = self.ended.get(&key) {
                        assert!(self.all_know(*sequence, *at), "released before all knew");
                    }
                    self.nodes.get_mut(name).unwrap().pods.remove(&uid);
                }
                let node = &self.nodes[name];
                self.announcer.heard(name, node.stream.unwrap(), &node.pods);
            }
            Order::Announced(uids) => {
                self.nodes.get_mut(name).unwrap().told = uids.into_iter().collect();
            }
            Order::Welcome { .. } | Order::Mesh(_) => panic!("not its matter"),
        }
    }

    /// In the end all leave.
    fn all_leave(&mut self) {
        for name in NODES.map(Arc::<str>::from) {
            self.come(&name);
            let node = self.nodes.get_mut(&name).unwrap();
            node.pods = (0..UIDS.len()).map(|at| (uid(at), pod(PodState::Leaving))).collect();
            self.announcer.heard(&name, self.streams, &node.pods);
        }
        self.places.values_mut().for_each(|place| place.enrolled = false);
        self.set_all();
        self.settle();
        for _ in 0..3 {
            self.now += LIMIT;
            self.settle();
        }
        assert!(self.nodes.values().all(|node| node.pods.is_empty()), "a pod waits for ever");
        assert!(self.announcer.record().is_empty());
        assert_eq!(self.announcer.wake(self.now), None);
    }
}

fn happens() -> impl Strategy<Value = Happens> {
    let state = prop_oneof![
        1 => Just(PodState::Pending(String::new())),
        3 => Just(PodState::Captured),
        2 => Just(PodState::Leaving),
    ];
    let (uid, node) = (0..UIDS.len(), 0..NODES.len());
    prop_oneof![
        4 => (uid.clone(), proptest::option::weighted(0.8, (node.clone(), any::<bool>())))
            .prop_map(|(uid, place)| Happens::Objects(uid, place)),
        4 => (node.clone(), uid, proptest::option::weighted(0.9, state))
            .prop_map(|(node, uid, state)| Happens::Says(node, uid, state)),
        2 => node.clone().prop_map(Happens::Comes),
        1 => node.clone().prop_map(Happens::Leaves),
        4 => node.prop_map(Happens::Accepts),
        2 => (0..6000_u64).prop_map(Happens::Passes),
        1 => Just(Happens::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_nobody_is_cut_off_and_nobody_waits_for_ever(
        happens in collection::vec(happens(), 0..60),
    ) {
        let mut mesh = Mesh::new();
        for what in &happens {
            mesh.happen(what);
            for (name, node) in mesh.nodes.iter().filter(|(_, node)| node.stream.is_some()) {
                let announced = mesh.shown.iter().filter(|(_, (at, is))| at == name && is.hbone);
                prop_assert!(announced.map(|(uid, _)| uid).eq(&node.told));
            }
        }
        mesh.all_leave();
    }
}

/// A mesh in which `u0` on node `a` is settled, and `b` is connected.
fn settled() -> Mesh {
    let mut mesh = Mesh::new();
    let happened = [
        Happens::Comes(0),
        Happens::Comes(1),
        Happens::Objects(0, Some((0, true))),
        Happens::Says(0, 0, Some(PodState::Captured)),
    ];
    happened.iter().for_each(|what| mesh.happen(what));
    assert_eq!(mesh.announcer.shown(&uid(0)), Shown { hbone: true, strict: false });
    mesh.happen(&Happens::Accepts(0));
    assert_eq!(mesh.announcer.shown(&uid(0)), Shown { hbone: true, strict: false });
    mesh.happen(&Happens::Accepts(1));
    assert_eq!(mesh.announcer.shown(&uid(0)), Shown { hbone: true, strict: true });
    mesh
}

#[test]
fn leaving_is_joining_backwards() {
    let mut mesh = settled();
    mesh.happen(&Happens::Says(0, 0, Some(PodState::Leaving)));
    mesh.happen(&Happens::Objects(0, Some((0, false))));
    assert_eq!(mesh.announcer.shown(&uid(0)), Shown { hbone: true, strict: false });
    // Its own node is the one that refuses plain text.
    mesh.happen(&Happens::Accepts(1));
    assert_eq!(mesh.announcer.shown(&uid(0)), Shown { hbone: true, strict: false });
    mesh.happen(&Happens::Accepts(0));
    assert_eq!(mesh.announcer.shown(&uid(0)), Shown::default());
    assert_eq!(mesh.nodes["a"].pods.len(), 1);
    mesh.happen(&Happens::Accepts(0));
    assert_eq!(mesh.nodes["a"].pods.len(), 1, "b may not know");
    mesh.happen(&Happens::Accepts(1));
    assert_eq!(mesh.nodes["a"].pods.len(), 0);
}

#[test]
fn who_does_not_answer_is_waited_for_five_seconds() {
    let mut mesh = settled();
    mesh.happen(&Happens::Says(0, 0, Some(PodState::Leaving)));
    mesh.happen(&Happens::Objects(0, Some((0, false))));
    mesh.happen(&Happens::Accepts(0));
    mesh.happen(&Happens::Accepts(0));
    mesh.happen(&Happens::Passes(4999));
    assert_eq!(mesh.nodes["a"].pods.len(), 1);
    assert_eq!(mesh.announcer.wake(mesh.now), Some(mesh.now + Duration::from_millis(1)));
    mesh.happen(&Happens::Passes(1));
    assert_eq!(mesh.nodes["a"].pods.len(), 0);
}

#[test]
fn captured_stays_captured_whoever_restarts_or_is_away() {
    let mut mesh = settled();
    let shown = Shown { hbone: true, strict: true };
    for what in [
        Happens::Leaves(0),
        Happens::Restart,
        Happens::Comes(1),
        Happens::Passes(60_000),
        Happens::Says(0, 0, Some(PodState::Pending("again".into()))),
        Happens::Comes(0),
        Happens::Says(0, 0, None),
    ] {
        mesh.happen(&what);
        assert_eq!(mesh.announcer.shown(&uid(0)), shown, "{what:?}");
    }
}

#[test]
fn a_node_speaks_for_its_own_pods_only() {
    let mut mesh = Mesh::new();
    let happened = [
        Happens::Comes(0),
        Happens::Comes(1),
        Happens::Objects(0, Some((0, true))),
        Happens::Says(1, 0, Some(PodState::Captured)),
    ];
    happened.iter().for_each(|what| mesh.happen(what));
    assert_eq!(mesh.announcer.shown(&uid(0)), Shown::default());
}

#[test]
fn who_is_gone_after_a_restart_is_let_go_when_everybody_had_time() {
    let mut mesh = settled();
    mesh.places.remove(&uid(0));
    for what in [
        Happens::Restart,
        Happens::Comes(0),
        Happens::Comes(1),
        Happens::Says(0, 0, Some(PodState::Leaving)),
        Happens::Passes(4999),
    ] {
        mesh.happen(&what);
        assert_eq!(mesh.nodes["a"].pods.len(), 1, "{what:?}");
    }
    mesh.happen(&Happens::Passes(1));
    assert_eq!(mesh.nodes["a"].pods.len(), 0);
}

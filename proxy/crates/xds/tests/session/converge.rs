//! Any order of events, then quiet: the node holds what there is and it wants.
use crate::thing::{BAD, Thing, alias, name};
use culvert_proto::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest as Request, DeltaDiscoveryResponse as Response,
};
use culvert_xds::{
    client::{Change, Client, Known, Mode},
    resource::{Name, Resource as _},
    server::{Lag, Manner, Removals, Subscriber, World},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Clone, Debug)]
enum Event {
    Set(Vec<Thing>),
    Remove(u8),
    /// Everything at once.
    Replace(Vec<Thing>),
    Want(Key),
    Forget(Key),
    /// The server gets one request.
    Serve,
    /// The client gets one response.
    Receive,
    /// The server looks whether there is something to push.
    Push,
    Disconnect,
    Connect,
    /// Another replica, which knows nothing of the streams.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(u8),
    Alias(u8),
}

/// Both ends and what is between them.
struct Pair {
    mode: Mode,
    removals: Removals,
    client: Client<Thing>,
    server: Option<Subscriber>,
    world: World,
    things: BTreeMap<u8, Thing>,
    wanted: BTreeSet<Key>,
    requests: VecDeque<Request>,
    responses: VecDeque<Response>,
    /// What whoever only listens to the changes holds.
    heard: BTreeMap<Name, Thing>,
}

impl Key {
    fn name(self) -> Name {
        match self {
            Self::Name(one) => name(one),
            Self::Alias(one) => alias(one),
        }
    }

    fn leads_to(self, thing: &Thing) -> bool {
        match self {
            Self::Name(one) => thing.name == one,
            Self::Alias(one) => thing.aliases.contains(&one),
        }
    }
}

impl Pair {
    fn new(mode: Mode, removals: Removals) -> Self {
        Self {
            mode,
            removals,
            client: Client::new(mode),
            server: None,
            world: World::empty::<Thing>(),
            things: BTreeMap::new(),
            wanted: BTreeSet::new(),
            requests: VecDeque::new(),
            responses: VecDeque::new(),
            heard: BTreeMap::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Set(things) => {
                self.world.change(&things, []);
                self.things.extend(things.into_iter().map(|thing| (thing.name, thing)));
            }
            Event::Remove(one) => {
                self.world.change::<Thing>([], [&*name(one)]);
                self.things.remove(&one);
            }
            Event::Replace(things) => {
                self.things = things.into_iter().map(|thing| (thing.name, thing)).collect();
                self.world.replace(self.things.values());
            }
            Event::Want(key) => {
                self.wanted.insert(key);
                self.requests.extend(self.client.want(&key.name()));
            }
            Event::Forget(key) => {
                self.wanted.remove(&key);
                let (changes, request) = self.client.forget(&key.name());
                self.hear(changes);
                self.requests.extend(request);
            }
            Event::Serve => _ = self.serve(),
            Event::Receive => _ = self.receive(),
            Event::Push => self.push(),
            Event::Disconnect => self.disconnect(),
            Event::Connect => self.connect(),
            Event::Restart => {
                self.disconnect();
                let mut world = World::empty::<Thing>();
                world.replace(self.things.values());
                self.world = world;
            }
        }
    }

    fn connect(&mut self) {
        if self.server.is_none() {
            self.server =
                Some(Subscriber::new(Manner { removals: self.removals, ..Manner::default() }));
            self.requests.push_back(self.client.connect());
        }
    }

    fn disconnect(&mut self) {
        self.server = None;
        self.requests.clear();
        self.responses.clear();
        self.client.disconnect();
    }

    fn serve(&mut self) -> bool {
        let (Some(server), Some(request)) = (&mut self.server, self.requests.pop_front()) else {
            return false;
        };
        self.responses.extend(server.request(&request, &self.world));
        true
    }

    fn push(&mut self) {
        if let Some(server) = &mut self.server {
            if self.removals == Removals::Late {
                self.responses.extend(server.push_sets(&self.world));
            }
            self.responses.extend(server.push(&self.world));
        }
    }

    fn receive(&mut self) -> bool {
        let Some(response) = self.responses.pop_front() else { return false };
        let bad = response.resources.iter().any(|one| {
            self.client.held().all(|held| *held.name() != *one.name) && one.resource.is_none()
        });
        let received = self.client.receive(response);
        assert!(!bad, "a resource without a body was sent");
        self.hear(received.changes);
        self.requests.push_back(received.reply);
        true
    }

    fn hear(&mut self, changes: Vec<Change<Thing>>) {
        for change in changes {
            match change {
                Change::Set(thing) => drop(self.heard.insert(thing.name(), thing)),
                Change::Removed(name) => {
                    assert!(self.heard.remove(&name).is_some(), "{name} was not there");
                }
                Change::Refused(_) | Change::Absent(_) => {}
            }
        }
    }

    /// Lets everything arrive, on the stream there is or a new one.
    fn settle(&mut self) {
        self.connect();
        loop {
            self.push();
            if !self.serve() && !self.receive() {
                break;
            }
        }
    }

    fn wants(&self, thing: &Thing) -> bool {
        self.mode == Mode::Everything || self.wanted.iter().any(|key| key.leads_to(thing))
    }

    fn check(&self) {
        let held: BTreeMap<u8, &Thing> = self.client.held().map(|one| (one.name, one)).collect();
        let refused: BTreeSet<Name> =
            self.client.refused().map(|(name, _)| Name::clone(name)).collect();
        for one in 0..=u8::MAX {
            let (thing, held) = (self.things.get(&one), held.get(&one));
            match thing.filter(|thing| self.wants(thing)) {
                Some(thing) if thing.is_good() => {
                    assert_eq!(held, Some(&thing));
                    assert!(!refused.contains(&name(one)));
                }
                Some(_) => {
                    assert!(refused.contains(&name(one)));
                    assert!(held.is_none_or(|old| old.is_good()));
                    let stand_in = self.client.stand_ins().any(|it| *it == *name(one));
                    assert_eq!(stand_in, held.is_none(), "nothing held: a stand-in holds");
                }
                None => assert!(held.is_none() && !refused.contains(&name(one)), "{held:?}"),
            }
        }
        self.check_keys(&refused);
        let heard: Vec<_> = self.heard.values().collect();
        assert_eq!(heard, self.client.held().collect::<Vec<_>>());
        let lag = self.server.as_ref().unwrap().lag(&self.world);
        assert_eq!(lag, Lag { changes: 0, unanswered: 0 });
    }

    fn check_keys(&self, refused: &BTreeSet<Name>) {
        for key in &self.wanted {
            let found = self.client.known(&key.name());
            let exists = self.things.values().any(|thing| key.leads_to(thing));
            // Of what is refused an earlier version stays, and that may go by the key.
            let stays = |all: &[&Thing]| all.iter().all(|one| refused.contains(&name(one.name)));
            match &found {
                Known::Held(all) => assert!(exists || stays(all), "{key:?}"),
                Known::Refused(_) => assert!(exists, "{key:?}"),
                Known::Absent => assert!(!exists, "{key:?}"),
                Known::Unknown => unreachable!("{key:?} was never answered"),
            }
        }
    }
}

fn thing() -> impl Strategy<Value = Thing> {
    let value = prop_oneof![4 => 0..4_u8, 1 => BAD..=BAD + 1];
    (0..4_u8, value, prop::collection::btree_set(0..4_u8, 0..3)).prop_map(
        |(name, value, aliases)| Thing { name, value, aliases: aliases.into_iter().collect() },
    )
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![(0..4_u8).prop_map(Key::Name), (0..4_u8).prop_map(Key::Alias)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => prop::collection::vec(thing(), 1..3).prop_map(Event::Set),
        2 => (0..4_u8).prop_map(Event::Remove),
        1 => prop::collection::vec(thing(), 0..4).prop_map(Event::Replace),
        3 => key().prop_map(Event::Want),
        2 => key().prop_map(Event::Forget),
        6 => Just(Event::Serve),
        6 => Just(Event::Receive),
        4 => Just(Event::Push),
        1 => Just(Event::Disconnect),
        3 => Just(Event::Connect),
        1 => Just(Event::Restart),
    ]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Everything), Just(Mode::OnDemand)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 8, ..ProptestConfig::default() })]

    #[test]
    fn the_node_comes_to_hold_what_there_is(
        mode in mode(),
        removals in prop_oneof![Just(Removals::AtOnce), Just(Removals::Late)],
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut pair = Pair::new(mode, removals);
        for event in events {
            pair.happen(event);
            // What was refused is never said to be held.
            for (name, version) in pair.client.versions() {
                let refused = pair.client.refused().any(|(refused, _)| **refused == *name);
                let good = !refused && pair.client.holds(&name);
                prop_assert_eq!(good, !version.is_empty());
            }
        }
        pair.settle();
        pair.check();
        // A stream that breaks when all is said changes nothing, and says nothing again.
        pair.disconnect();
        let held: Vec<_> = pair.client.held().cloned().collect();
        pair.connect();
        pair.serve();
        let again: Vec<_> = pair.responses[0].resources.iter().map(|it| it.name.clone()).collect();
        let good = |it: &String| pair.things.values().any(|t| *t.name() == **it && t.is_good());
        prop_assert!(pair.mode == Mode::OnDemand || !again.iter().any(good), "{again:?}");
        pair.settle();
        pair.check();
        // But for an earlier version that nobody asks for by a name it still has.
        if pair.mode == Mode::Everything || pair.client.refused().next().is_none() {
            prop_assert_eq!(held, pair.client.held().cloned().collect::<Vec<_>>());
        }
    }
}

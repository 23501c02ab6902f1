//! Laws of both protocols: whatever changes, gets lost or is refused, in any order, what is held in
//! the end is what was good last, and the server knows of every name that is wanted.
//!
//! A server of clusters and of their endpoints stands at the other end of two queues that end whenever
//! the stream does. Clusters are taken whole; which endpoints are wanted follows from them.
mod server;

use culvert_model::http::source::From;
use culvert_proto::api::{envoy::config::core::v3::Node, google::protobuf::Any};
use culvert_xds::envoy::{
    assemble::{Assembler, Now},
    decode::Nothing,
    kind::Kind,
    stream::{Protocol, Request, Response, Stream, Wanted},
    wanted::Asked,
};
use proptest::{collection, prelude::*};
use server::{NAMES, Server, State};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Instant, SystemTime},
};

const ADS: Asked = Asked::Source(From::Ads);

/// Something happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Cluster(usize, State),
    Endpoints(usize, State),
    /// The server reads a request.
    Hear,
    /// It says what is new.
    Say,
    /// We read a response.
    Take,
    /// What came is looked at, and what is wanted since is asked for.
    Settle,
    /// The stream ends, with all that is on its way.
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let state = || prop_oneof![1 => Just(State::Gone), 3 => (0..3_u8).prop_map(State::Good), 1 => Just(State::Bad)];
    prop_oneof![
        2 => (0..NAMES, state()).prop_map(|(name, state)| Step::Cluster(name, state)),
        2 => (0..NAMES, state()).prop_map(|(name, state)| Step::Endpoints(name, state)),
        3 => Just(Step::Hear),
        3 => Just(Step::Say),
        3 => Just(Step::Take),
        2 => Just(Step::Settle),
        1 => Just(Step::Reset),
    ]
}

/// The client, as the tasks of discovery drive it, and its server.
struct Both {
    server: Server,
    stream: Stream,
    all: Assembler,
    requests: VecDeque<Request>,
    responses: VecDeque<Response>,
    /// The last that was good of each, as the wire had it.
    good: BTreeMap<(Kind, Arc<str>), Any>,
}

impl Both {
    fn new(protocol: Protocol) -> Self {
        let mut both = Self {
            server: Server::new(protocol),
            stream: Stream::new(protocol, ADS, Node::default(), true),
            all: Assembler::new(Arc::new(Nothing), Vec::new()),
            requests: VecDeque::new(),
            responses: VecDeque::new(),
            good: BTreeMap::new(),
        };
        both.connect();
        both
    }

    fn held(&self) -> impl Fn(Kind) -> BTreeMap<String, String> + use<> {
        let of = |kind| (kind, self.all.versions(kind, &ADS));
        let held = BTreeMap::from([Kind::Cluster, Kind::Endpoint].map(of));
        move |kind| held.get(&kind).cloned().unwrap_or_default()
    }

    fn connect(&mut self) {
        let held = self.held();
        self.requests.extend(self.stream.connect(&held));
        self.ask();
    }

    fn wanted(&self) -> BTreeSet<Arc<str>> {
        let mut wants = self.all.wants();
        let of = wants.remove(&ADS).and_then(|mut kinds| kinds.remove(&Kind::Endpoint));
        of.unwrap_or_default()
    }

    fn ask(&mut self) {
        let held = self.held();
        let wanted = [(Kind::Cluster, Wanted::All), (Kind::Endpoint, Wanted::Names(self.wanted()))];
        for (kind, wanted) in wanted {
            self.requests.extend(self.stream.want(kind, wanted, &held));
            self.requests.extend(self.stream.recall(kind, &held));
        }
    }

    fn take(&mut self) {
        let Some(response) = self.responses.pop_front() else { return };
        self.remember(&response);
        let received = self.stream.receive(response).expect("it was asked for");
        let errors = self.all.apply(received.update, now());
        self.requests.push_back(self.stream.answer(received.receipt, &errors));
    }

    /// What of a response counts, by the words of the protocols alone.
    fn remember(&mut self, response: &Response) {
        let wanted = self.wanted();
        for (kind, name, any) in server::set(response) {
            if server::is_good(&any) && (kind == Kind::Cluster || wanted.contains(&name)) {
                self.good.insert((kind, name), any);
            }
        }
        self.good.retain(|(kind, name), _| !server::is_gone(response, *kind, name));
    }

    fn settle(&mut self) {
        self.all.settle(now());
        self.ask();
    }

    fn does(&mut self, step: Step) {
        match step {
            Step::Cluster(name, state) => self.server.set(Kind::Cluster, name, state),
            Step::Endpoints(name, state) => self.server.set(Kind::Endpoint, name, state),
            Step::Hear => {
                if let Some(request) = self.requests.pop_front() {
                    self.server.hear(request);
                }
            }
            Step::Say => self.responses.extend(self.server.say()),
            Step::Take => self.take(),
            Step::Settle => self.settle(),
            Step::Reset => {
                self.requests.clear();
                self.responses.clear();
                self.server.forget();
                self.stream.disconnect();
                self.connect();
            }
        }
    }

    /// Until nobody has anything more to say.
    fn rest(&mut self) {
        for _ in 0..200 {
            while !self.responses.is_empty() {
                self.take();
            }
            self.settle();
            while let Some(request) = self.requests.pop_front() {
                self.server.hear(request);
            }
            let new = self.server.say();
            if new.is_empty() {
                return;
            }
            self.responses.extend(new);
        }
        panic!("they never come to rest");
    }
}

fn now() -> Now {
    Now { instant: Instant::now(), wall: SystemTime::now() }
}

fn law(protocol: Protocol, steps: Vec<Step>) {
    let mut both = Both::new(protocol);
    for step in steps {
        both.does(step);
        let of_clusters = |all: &Assembler| -> BTreeMap<_, _> {
            let held = all.held().filter(|((kind, _), _)| *kind == Kind::Cluster);
            held.map(|(key, held)| (key.clone(), held.made.any.clone())).collect()
        };
        let good = both.good.iter().filter(|((kind, _), _)| *kind == Kind::Cluster);
        let good: BTreeMap<_, _> = good.map(|(key, any)| (key.clone(), any.clone())).collect();
        assert_eq!(of_clusters(&both.all), good, "what was good last, at any time");
    }
    both.rest();
    let wanted = both.wanted();
    assert_eq!(both.server.asked(Kind::Endpoint), wanted, "no name is lost");
    for (kind, name, any) in both.server.there() {
        let is_wanted = kind == Kind::Cluster || wanted.contains(&name);
        if is_wanted && server::is_good(&any) {
            let held = both.all.held_as(&(kind, Arc::clone(&name)));
            assert_eq!(held.map(|held| &held.made.any), Some(&any), "{kind:?} {name} has come");
        }
    }
    for (key, held) in both.all.held().filter(|((kind, _), _)| *kind == Kind::Endpoint) {
        assert!(wanted.contains(&key.1), "{key:?} is nobody's");
        assert!(server::is_good(&held.made.any), "{key:?}");
    }
    assert_eq!(both.server.unanswered(), 0, "every response is answered, in order, as it was");
}

proptest! {
    #[test]
    fn of_the_state_of_the_world(steps in collection::vec(step(), 0..40)) {
        law(Protocol::StateOfTheWorld, steps);
    }

    #[test]
    fn of_changes(steps in collection::vec(step(), 0..40)) {
        law(Protocol::Delta, steps);
    }
}

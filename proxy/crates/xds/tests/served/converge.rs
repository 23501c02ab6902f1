//! Any order of changes, requests, answers and broken streams, then quiet: the client holds what
//! there is and it wants.
use crate::client::{Client, KINDS, OfDelta, OfWhole, is_whole, made};
use culvert_xds::envoy::{
    kind::Kind,
    serve::{channel::Channel, offer::Offer, session::Session},
};
use proptest::{collection, prelude::*};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug)]
enum Step {
    /// Of some resources: what they are from now on; `None`: they are not.
    Change(Vec<(Kind, usize, Option<u8>)>),
    Want(Kind, BTreeSet<usize>),
    /// The server reads a request.
    Hear,
    /// It looks whether there is something to say; whether it waits no longer.
    Push(bool),
    /// The client reads a response, and accepts it or not.
    Take {
        refuses: bool,
    },
    /// The stream ends, with all that is on its way, and another begins.
    Reset,
}

fn kind() -> impl Strategy<Value = Kind> {
    (0..KINDS.len()).prop_map(|kind| KINDS[kind])
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let content = prop_oneof![1 => Just(None), 2 => (0..3_u8).prop_map(Some)];
    let names = collection::btree_set(name.clone(), 0..NAMES.len());
    let by_name = prop_oneof![Just(Kind::Endpoint), Just(Kind::Route)];
    prop_oneof![
        3 => collection::vec((kind(), name, content), 1..5).prop_map(Step::Change),
        2 => (by_name, names).prop_map(|(kind, names)| Step::Want(kind, names)),
        5 => Just(Step::Hear),
        3 => any::<bool>().prop_map(Step::Push),
        5 => prop::bool::weighted(0.2).prop_map(|refuses| Step::Take { refuses }),
        1 => Just(Step::Reset),
    ]
}

/// Both ends, and what is between them.
struct Both<C: Client> {
    client: C,
    session: Session<C::Channel>,
    offer: Offer,
    there: BTreeMap<(Kind, usize), u8>,
    requests: VecDeque<<C::Channel as Channel>::Request>,
    responses: VecDeque<<C::Channel as Channel>::Response>,
}

impl<C: Client> Both<C> {
    fn new() -> Self {
        let mut both = Self {
            client: C::default(),
            session: Session::default(),
            offer: Offer::default(),
            there: BTreeMap::new(),
            requests: VecDeque::new(),
            responses: VecDeque::new(),
        };
        both.reset();
        both
    }

    fn reset(&mut self) {
        self.responses.clear();
        self.session = Session::default();
        self.requests = self.client.connect().into();
    }

    fn happen(&mut self, step: Step) {
        match step {
            Step::Change(all) => {
                let (mut set, mut removed) = (Vec::new(), Vec::new());
                for (kind, name, content) in all {
                    // Of two with one name the last counts, whatever the order of the others is.
                    set.retain(|(of, one, _)| (*of, *one) != (kind, name));
                    removed.retain(|one| *one != (kind, name));
                    match content {
                        Some(content) => {
                            self.there.insert((kind, name), content);
                            set.push((kind, name, content));
                        }
                        None => {
                            self.there.remove(&(kind, name));
                            removed.push((kind, name));
                        }
                    }
                }
                let set = set
                    .into_iter()
                    .map(|(kind, name, content)| made(kind, NAMES[name], &content.to_string()));
                let removed = removed.into_iter().map(|(kind, name)| (kind, NAMES[name].into()));
                self.offer.generation += 1;
                self.offer.change(set, removed);
            }
            Step::Want(kind, names) => {
                let names = names.into_iter().map(|name| NAMES[name].to_owned()).collect();
                self.requests.extend(self.client.want(kind, names));
            }
            Step::Hear => _ = self.hear(),
            Step::Push(at_once) => self.push(at_once),
            Step::Take { refuses } => _ = self.take(refuses),
            Step::Reset => self.reset(),
        }
    }

    fn hear(&mut self) -> bool {
        let Some(request) = self.requests.pop_front() else { return false };
        self.responses.extend(self.session.request(&request, &self.offer, "test"));
        true
    }

    fn push(&mut self, at_once: bool) {
        self.responses.extend(self.session.push(&self.offer, "test", at_once));
    }

    fn take(&mut self, refuses: bool) -> bool {
        let Some(response) = self.responses.pop_front() else { return false };
        self.requests.push_back(self.client.take(response, refuses));
        true
    }

    /// Lets everything arrive, and be accepted.
    fn settle(&mut self) {
        loop {
            self.push(false);
            if !self.hear() && !self.take(false) {
                break;
            }
        }
    }

    /// Content of all that is there and wanted.
    fn expected(&self, kind: Kind) -> BTreeMap<String, Vec<u8>> {
        let of_kind = self.there.iter().filter(|((of, _), _)| *of == kind);
        let all = of_kind.map(|((_, name), content)| {
            (NAMES[*name].to_owned(), format!("{}={content}", NAMES[*name]).into_bytes())
        });
        all.filter(|(name, _)| is_whole(kind) || self.client.wanted(kind).contains(name)).collect()
    }

    fn check(&self, removals_are_told: bool) {
        for kind in KINDS {
            let held = self.client.held()[&kind].iter();
            let mut held: BTreeMap<_, _> =
                held.map(|(name, (_, body))| (name.clone(), body.clone())).collect();
            let expected = self.expected(kind);
            if !removals_are_told && !is_whole(kind) {
                // What is gone cannot be said: whoever speaks of it goes.
                held.retain(|name, _| expected.contains_key(name));
            }
            assert_eq!(held, expected, "{kind:?}");
        }
        let progress = self.session.progress(&self.offer);
        assert!(progress.is_current && !self.session.is_held_up(&self.offer), "{progress:?}");
        assert_eq!((progress.unanswered, progress.behind), (0, 0));
        assert_eq!(progress.generation, self.offer.generation);
    }
}

/// A client that refused something holds what was before; a change of everything mends that.
fn renewed<C: Client>(both: &mut Both<C>) {
    both.settle();
    let there = both.there.keys().copied();
    // One of each type more, so that all of it is said again.
    let all: BTreeSet<_> = there.chain(KINDS.map(|kind| (kind, NAMES.len() - 1))).collect();
    let all = all.into_iter().map(|(kind, name)| (kind, name, Some(9)));
    both.happen(Step::Change(all.collect()));
    both.settle();
}

fn converges<C: Client>(steps: Vec<Step>, removals_are_told: bool) {
    let mut both = Both::<C>::new();
    let refused = steps.iter().any(|step| matches!(step, Step::Take { refuses: true }));
    for step in steps {
        both.happen(step);
    }
    if refused {
        renewed(&mut both);
    } else {
        both.settle();
    }
    both.check(removals_are_told);
    // A stream that breaks when all is said changes nothing.
    both.happen(Step::Reset);
    both.settle();
    both.check(removals_are_told);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 8, ..ProptestConfig::default() })]

    #[test]
    fn by_changes(steps in collection::vec(step(), 0..60)) {
        converges::<OfDelta>(steps, true);
    }

    #[test]
    fn by_states_of_the_world(steps in collection::vec(step(), 0..60)) {
        converges::<OfWhole>(steps, false);
    }
}

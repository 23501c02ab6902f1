//! Whatever an API server does, who listens ends with what it has.
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Objects in one part of a list here.
const PART: usize = 2;

/// An API server in a few lines: objects, what happened to them, and how much of that it forgot.
#[derive(Debug)]
struct Api {
    now: u64,
    objects: BTreeMap<u8, u8>,
    /// All states, by what was the newest change.
    states: BTreeMap<u64, BTreeMap<u8, u8>>,
    happened: BTreeMap<u64, (u8, Option<u8>)>,
    forgotten: u64,
    is_defined: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    /// What happened so far cannot be asked for any more.
    Forget,
    /// The kind is no longer defined, and with it go its objects.
    Undefine,
    Define,
    /// The next thing is asked for, and answered; of a watch so many lines.
    Ask(usize),
    /// The next thing is asked for, in vain.
    Fail(u16),
}

/// What somebody knows who only hears events.
#[derive(Debug, Default)]
struct Heard {
    objects: BTreeMap<u8, u8>,
    last: Option<bool>,
}

impl Api {
    fn new() -> Self {
        Self {
            now: 1,
            objects: BTreeMap::new(),
            states: [(1, BTreeMap::new())].into(),
            happened: BTreeMap::new(),
            forgotten: 0,
            is_defined: true,
        }
    }

    fn change(&mut self, name: u8, value: Option<u8>) {
        let before = match value {
            Some(value) => self.objects.insert(name, value),
            None => self.objects.remove(&name),
        };
        if before != value {
            self.now += 1;
            self.happened.insert(self.now, (name, value));
            self.states.insert(self.now, self.objects.clone());
        }
    }

    fn list(&self, next: Option<&str>, limit: Option<u32>) -> Result<Page, Fault> {
        let (at, from) = match next {
            None => (self.now, 0),
            Some(next) => {
                let (at, from) = next.split_once('/').unwrap();
                (at.parse().unwrap(), from.parse().unwrap())
            }
        };
        if at <= self.forgotten && at != self.now {
            return Err(answer(410));
        }
        let all = &self.states[&at];
        let part = if limit.is_some() { PART } else { all.len() };
        let items = all.iter().skip(from).take(part);
        let items = items.map(|(name, value)| object(*name, *value, at)).collect();
        let next = (from + part < all.len()).then(|| format!("{at}/{}", from + part));
        Ok(Page { items, resource_version: at.to_string(), next })
    }

    fn watch(&self, from: &str) -> Result<impl Iterator<Item = Line> + '_, Fault> {
        let from: u64 = from.parse().unwrap();
        if from < self.forgotten {
            return Err(answer(410));
        }
        Ok(self.happened.range(from + 1..).map(|(version, (name, value))| match value {
            Some(value) => Line::Applied(object(*name, *value, *version)),
            None => Line::Deleted(object(*name, 0, *version)),
        }))
    }
}

impl Heard {
    fn hear(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            let name = |key: &Key| key.name.parse::<u8>().unwrap();
            match event {
                Event::Applied { key, json, .. } => {
                    self.objects.insert(name(&key), json.unwrap().parse().unwrap());
                }
                Event::Deleted { key, .. } => {
                    let was_there = self.objects.remove(&name(&key));
                    assert!(was_there.is_some(), "{key:?} is told to be gone and never was there");
                }
                Event::Synced { is_there, .. } => self.last = Some(is_there),
                Event::Unavailable { .. } | Event::Looked { .. } => {}
            }
        }
    }
}

fn answer(code: u16) -> Fault {
    Fault::Answer { code, message: String::new() }
}

fn object(name: u8, value: u8, version: u64) -> Trimmed {
    Trimmed {
        key: Key { namespace: "".into(), name: name.to_string().into() },
        resource_version: version.to_string(),
        json: Ok(value.to_string().into()),
        hash: value.into(),
    }
}

/// One request and its answer; of a watch the first lines.
fn ask(follow: &mut Follow, api: &Api, heard: &mut Heard, now: &mut Instant, lines: usize) {
    *now += Duration::from_secs(1);
    let fault = match follow.next() {
        Do::List { .. } | Do::Watch { .. } if !api.is_defined => answer(404),
        Do::List { next, limit, .. } => match api.list(next.as_deref(), limit) {
            Ok(page) => return heard.hear(follow.page(page)),
            Err(fault) => fault,
        },
        Do::Watch { from, .. } => match api.watch(&from) {
            Ok(watch) => {
                heard.hear(follow.opened());
                for line in watch.take(lines) {
                    heard.hear(follow.line(line).unwrap());
                }
                return;
            }
            Err(fault) => fault,
        },
        Do::Ask => {
            return heard.hear(follow.answered(api.is_defined.then_some(0), *now).1);
        }
        Do::Await => return follow.woken(),
    };
    heard.hear(follow.failed(fault, 0).1);
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8_u8, 0..4_u8).prop_map(|(name, value)| Step::Put(name, value)),
        3 => (0..8_u8).prop_map(Step::Delete),
        2 => Just(Step::Forget),
        1 => Just(Step::Undefine),
        1 => Just(Step::Define),
        8 => (0..4_usize).prop_map(Step::Ask),
        2 => prop::sample::select(vec![403, 404, 410, 500, 503]).prop_map(Step::Fail),
    ]
}

proptest! {
    #[test]
    fn who_listens_ends_with_what_there_is(steps in prop::collection::vec(step(), 0..80)) {
        let (mut api, mut follow) = (Api::new(), Follow::new(0, 2, true));
        let (mut heard, mut now) = (Heard::default(), Instant::now());
        for step in steps {
            match step {
                Step::Put(name, value) if api.is_defined => api.change(name, Some(value)),
                Step::Delete(name) => api.change(name, None),
                Step::Forget => api.forgotten = api.now,
                Step::Undefine => {
                    (0..8).for_each(|name| api.change(name, None));
                    api.is_defined = false;
                }
                Step::Put(..) => {}
                Step::Define => api.is_defined = true,
                Step::Ask(lines) => ask(&mut follow, &api, &mut heard, &mut now, lines),
                Step::Fail(code) => heard.hear(follow.failed(answer(code), 0).1),
            }
        }
        // In peace it is soon known.
        for _ in 0..40 {
            ask(&mut follow, &api, &mut heard, &mut now, usize::MAX);
        }
        prop_assert_eq!(&heard.objects, &api.objects);
        prop_assert_eq!(heard.last, Some(api.is_defined));
    }

    /// Nothing is told twice: an object that did not change is no event, however often it is
    /// listed.
    #[test]
    fn a_list_tells_only_what_changed(
        before in prop::collection::btree_map(0..9_u8, 0..3_u8, 0..9),
        after in prop::collection::btree_map(0..9_u8, 0..3_u8, 0..9),
    ) {
        let page = |objects: &BTreeMap<u8, u8>, version: u64| Page {
            items: objects.iter().map(|(name, value)| object(*name, *value, version)).collect(),
            resource_version: version.to_string(),
            next: None,
        };
        let mut follow = Follow::new(0, 1, false);
        follow.page(page(&before, 1));
        follow.failed(answer(410), 0);
        let told = follow.page(page(&after, 2)).len();
        let differ = |name: &u8| before.get(name) != after.get(name);
        prop_assert_eq!(told, (0..9_u8).filter(differ).count());
    }
}

#[test]
fn what_cannot_be_had_is_said_once_and_so_is_that_it_can() {
    let mut follow = Follow::new(3, 1, false);
    let unavailable = |event| matches!(event, Some(Event::Unavailable { kind: 3, .. }));
    assert!(unavailable(follow.failed(answer(403), 0).1));
    assert_eq!(follow.failed(answer(403), 0).1, None);
    assert!(unavailable(follow.failed(answer(500), 0).1));
    let page = Page { items: vec![], resource_version: "1".into(), next: None };
    assert_eq!(follow.page(page), [Event::Synced { kind: 3, is_there: true }]);
    assert!(unavailable(follow.failed(Fault::Unreachable("refused".into()), 0).1));
    assert_eq!(follow.opened(), Some(Event::Synced { kind: 3, is_there: true }));
}

#[test]
fn waits_grow_while_it_fails_and_not_beyond_some_seconds() {
    let mut follow = Follow::new(0, 1, false);
    let waits: Vec<_> = (0..12).map(|_| follow.failed(answer(503), u64::MAX).0).collect();
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(*waits.last().unwrap() <= AGAIN.1 && waits[0] <= AGAIN.0);
}

/// A list that is too old before its end, and again, is asked for whole.
#[test]
fn a_list_in_parts_that_never_ends_is_asked_for_whole() {
    let mut follow = Follow::new(0, 1, false);
    for _ in 0..2 {
        let next = Some("1/2".to_owned());
        follow.page(Page { items: vec![], resource_version: "1".into(), next });
        follow.failed(answer(410), 0);
    }
    assert_eq!(follow.next(), Do::List { version: 0, next: None, limit: None });
}

/// A watch that is always too old must not list as fast as it can.
#[test]
fn lists_for_nothing_come_less_and_less_often() {
    let mut follow = Follow::new(0, 1, false);
    let mut waits = Vec::new();
    for _ in 0..6 {
        follow.page(Page { items: vec![], resource_version: "1".into(), next: None });
        follow.opened();
        waits.push(follow.failed(answer(410), u64::MAX).0);
    }
    assert!(waits.is_sorted() && waits[5] > 10 * waits[0], "{waits:?}");
}

/// Nobody is sure at once that a kind is gone of which there were objects.
#[test]
fn objects_of_a_kind_that_vanished_stay_until_that_is_certain() {
    let (mut follow, start) = (Follow::new(0, 1, true), Instant::now());
    let items = vec![object(1, 1, 1)];
    follow.page(Page { items, resource_version: "1".into(), next: None });
    follow.failed(answer(404), 0);
    follow.failed(answer(404), 0);
    assert_eq!(follow.next(), Do::Ask);
    assert_eq!(follow.answered(None, start).1, []);
    assert_eq!(follow.answered(None, start + DOUBT / 2).1, []);
    let told = follow.answered(None, start + DOUBT).1;
    assert!(matches!(&told[..], [Event::Deleted { .. }, Event::Synced { is_there: false, .. }]));
    assert_eq!(follow.next(), Do::Await);
}

//! What resolvers answered one pod.
//!
//! Each pod has its own: what is at a resolver's address is for the pod's namespace to say, and an
//! answer that one pod can forge must not reach another. The node's room is divided among them.
use crate::dns::message::{
    query::{Query, Sort},
    reply::Kept,
};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Answers one pod may always keep, however many pods there are.
const LEAST: usize = 64;

/// Larger answers are not kept.
const SIZE_MAX: usize = 4096;

/// What an answer is kept by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) resolver: SocketAddr,
    pub(crate) sort: Sort,
}

/// Answers by who gave them to what.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: HashMap<Arc<Key>, Entry>,
    /// Those that came first are the first to go, unless somebody asked for them since.
    order: VecDeque<Arc<Key>>,
}

/// An answer, and how old it is.
#[derive(Clone, Debug)]
pub(crate) struct Cached {
    kept: Arc<Kept>,
    age: Duration,
}

#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    since: Instant,
    used: bool,
}

impl Cache {
    /// The answer, unless it is older than `stale` past its time.
    pub(crate) fn get(&mut self, key: &Key, now: Instant, stale: Duration) -> Option<Cached> {
        let entry = self.entries.get_mut(key)?;
        let age = now.saturating_duration_since(entry.since);
        if entry.kept.good_for.saturating_add(stale) <= age {
            return None;
        }
        entry.used = true;
        Some(Cached { kept: Arc::clone(&entry.kept), age })
    }

    /// Keeps an answer; at most `room` of them.
    pub(crate) fn put(&mut self, key: Key, kept: Kept, now: Instant, room: usize) {
        if SIZE_MAX < kept.len() {
            return;
        }
        let entry = Entry { kept: Arc::new(kept), since: now, used: false };
        if let Some(before) = self.entries.get_mut(&key) {
            *before = entry;
            return;
        }
        self.make_room(room.max(1) - 1);
        let key = Arc::new(key);
        self.order.push_back(Arc::clone(&key));
        self.entries.insert(key, entry);
    }

    /// Lets answers go until there are `most`.
    fn make_room(&mut self, most: usize) {
        // Each is given one more chance once.
        let mut chances = self.order.len();
        while most < self.entries.len() {
            let Some(first) = self.order.pop_front() else { return };
            match self.entries.get_mut(&first) {
                Some(entry) if entry.used && 0 < chances => {
                    entry.used = false;
                    chances -= 1;
                    self.order.push_back(first);
                }
                _ => drop(self.entries.remove(&first)),
            }
        }
    }
}

impl Cached {
    pub(crate) fn is_fresh(&self) -> bool {
        self.age < self.kept.good_for
    }

    /// The answer to `query`.
    pub(crate) fn tell(&self, query: &Query) -> Vec<u8> {
        self.kept.tell(query, self.age)
    }
}

/// How many answers each of `pods` pods may keep when the node has room for `all`.
pub(crate) fn share(all: usize, pods: usize) -> usize {
    (all / pods.max(1)).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{
        message::{kind, query},
        sample,
    };

    const HOUR: Duration = Duration::from_secs(3600);

    fn query(host: &str) -> Query {
        match query::parse(&sample::ask(7, host, kind::A)) {
            Ok(query::Asked::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    fn key(host: &str) -> Key {
        Key { resolver: "10.96.0.10:53".parse().unwrap(), sort: query(host).sort() }
    }

    fn kept(host: &str) -> Kept {
        let answer = sample::answer(&sample::ask(7, host, kind::A), &[([192, 0, 2, 1], 60)]);
        Kept::new(&answer, &query(host)).unwrap()
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_gone() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.put(key("a.example"), kept("a.example"), now, 10);
        let mut at =
            |seconds| cache.get(&key("A.EXAMPLE"), now + Duration::from_secs(seconds), HOUR);
        assert!(at(59).unwrap().is_fresh());
        assert!(!at(60).unwrap().is_fresh());
        assert!(at(3659).is_some());
        assert!(at(3660).is_none());
    }

    #[test]
    fn another_resolver_is_another_answer() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.put(key("a.example"), kept("a.example"), now, 10);
        let other = Key { resolver: "10.96.0.11:53".parse().unwrap(), ..key("a.example") };
        assert!(cache.get(&other, now, HOUR).is_none());
    }

    #[test]
    fn what_nobody_asks_for_goes_first_and_room_is_bounded() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for host in ["a", "b", "c"] {
            cache.put(key(host), kept(host), now, 3);
        }
        assert!(cache.get(&key("a"), now, HOUR).is_some());
        cache.put(key("d"), kept("d"), now, 3);
        assert!(cache.get(&key("b"), now, HOUR).is_none());
        assert!(cache.get(&key("a"), now, HOUR).is_some());
        // More pods came.
        cache.put(key("e"), kept("e"), now, 1);
        assert_eq!((cache.entries.len(), cache.order.len()), (1, 1));
    }

    #[test]
    fn room_is_divided() {
        assert_eq!((share(4096, 0), share(4096, 4), share(4096, 1000)), (4096, 1024, 64));
    }
}

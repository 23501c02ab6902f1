//! What was said of tokens lately, and who shows bad ones: bounded, whoever comes.
use super::{Refusal, Subject};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long it is good what the API server says of a token that proves something; of one that
/// proves nothing, which may become good, doubling up to the former; and that it says nothing.
const PROVEN: Duration = Duration::from_secs(60);
const REFUSED: Duration = Duration::from_secs(3);
const UNKNOWN: Duration = Duration::from_millis(500);

/// So many tokens are remembered.
const TOKENS: usize = 4096;

/// So many bad ones of one address are asked about in a minute, each counted once; all addresses for which there is no
/// place of their own have so many together.
const BAD: u32 = 20;
const BAD_OF_OTHERS: u32 = 1000;
const MINUTE: Duration = Duration::from_secs(60);

/// So many addresses are told apart.
const ADDRESSES: usize = 1024;
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Book {
    slots: Mutex<Slots>,
    floods: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

/// By digests of tokens; when each was last shown.
type Slots = HashMap<Box<[u8]>, (Instant, Arc<Slot>)>;

/// One token.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) last: tokio::sync::Mutex<Option<Answer>>,
}

/// What was said of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) said: Result<Subject, Refusal>,
    at: Instant,
    life: Duration,
}

impl Answer {
    /// `last`: what was said before of the same token.
    pub(super) fn new(said: Result<Subject, Refusal>, at: Instant, last: Option<&Self>) -> Self {
        let last = last.filter(|last| last.is_refusal());
        let life = match &said {
            Ok(_) => PROVEN,
            Err(refusal) if refusal.is_passing() => UNKNOWN,
            Err(_) => last.map_or(REFUSED, |last| (last.life * 2).min(PROVEN)),
        };
        Self { said, at, life }
    }

    pub(super) fn is_good(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < self.life
    }

    /// Something was said of the token itself.
    pub(super) fn is_definite(&self) -> bool {
        self.said.is_ok() || self.is_refusal()
    }

    /// It proves nothing.
    pub(super) fn is_refusal(&self) -> bool {
        self.said.as_ref().is_err_and(|refusal| !refusal.is_passing())
    }
}

impl Book {
    /// The place of a token, by its digest.
    pub(super) fn slot(&self, digest: &[u8], now: Instant) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some((used, slot)) = slots.get_mut(digest) {
            *used = now;
            return Arc::clone(slot);
        }
        if TOKENS <= slots.len() {
            slots.retain(|_, (used, _)| now.saturating_duration_since(*used) < PROVEN);
        }
        if TOKENS <= slots.len() {
            let oldest = slots.iter().min_by_key(|(_, (used, _))| *used);
            let oldest = oldest.map(|(digest, _)| digest.clone());
            oldest.and_then(|oldest| slots.remove(&oldest));
        }
        let slot = Arc::<Slot>::default();
        slots.insert(digest.into(), (now, Arc::clone(&slot)));
        slot
    }

    /// Whether a token of this address may be asked about.
    pub(super) fn may_ask(&self, from: Option<IpAddr>, now: Instant) -> bool {
        let mut floods = self.floods.lock();
        let from = place(&mut floods, from, now);
        let most = if from == OTHERS { BAD_OF_OTHERS } else { BAD };
        floods.get(&from).is_none_or(|(since, bad)| !is_now(*since, now) || *bad < most)
    }

    /// A token of this address was bad.
    pub(super) fn count(&self, from: Option<IpAddr>, now: Instant) {
        let mut floods = self.floods.lock();
        let from = place(&mut floods, from, now);
        let (since, bad) = floods.entry(from).or_insert((now, 0));
        if !is_now(*since, now) {
            (*since, *bad) = (now, 0);
        }
        *bad += 1;
    }
}

/// Under which an address is counted.
fn place(
    floods: &mut HashMap<IpAddr, (Instant, u32)>,
    from: Option<IpAddr>,
    now: Instant,
) -> IpAddr {
    let from = from.map_or(OTHERS, |from| from.to_canonical());
    if floods.contains_key(&from) {
        return from;
    }
    if ADDRESSES <= floods.len() {
        floods.retain(|_, (since, _)| is_now(*since, now));
    }
    if floods.len() < ADDRESSES { from } else { OTHERS }
}

fn is_now(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < MINUTE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from((0x0a00_0000 + n).to_be_bytes()))
    }

    #[test]
    fn who_shows_bad_tokens_again_and_again_is_the_only_one_not_asked_about() {
        let (book, now) = (Book::default(), Instant::now());
        for _ in 0..BAD {
            assert!(book.may_ask(ip(1), now));
            book.count(ip(1), now);
        }
        assert!(!book.may_ask(ip(1), now));
        assert!(book.may_ask(ip(2), now));
        assert!(book.may_ask(ip(1), now + MINUTE));
        book.count(ip(1), now + MINUTE);
        assert!(book.may_ask(ip(1), now + MINUTE));
    }

    #[test]
    fn many_addresses_and_many_tokens_take_no_more_room() {
        let (book, now) = (Book::default(), Instant::now());
        (0..5000).for_each(|n| book.count(ip(n), now));
        assert!(book.floods.lock().len() <= ADDRESSES + 1);
        assert!(!book.may_ask(ip(4999), now), "those without a place are counted together");
        assert!(book.may_ask(ip(1), now));
        let first = book.slot(b"first", now);
        let later = now + Duration::from_millis(1);
        assert!(Arc::ptr_eq(&first, &book.slot(b"first", later)));
        let later = later + Duration::from_millis(1);
        (0..5000_u32).for_each(|n| drop(book.slot(&n.to_be_bytes(), later)));
        assert!(book.slots.lock().len() <= TOKENS);
        assert!(!Arc::ptr_eq(&first, &book.slot(b"first", later)));
        drop(book.slot(b"x", now + 2 * PROVEN));
        assert_eq!(book.slots.lock().len(), 1);
    }

    #[test]
    fn what_was_refused_may_be_good_soon_and_later_the_more_often_it_was() {
        let now = Instant::now();
        let subject = Subject { pod: "a".into(), pod_uid: "b".into(), node: None };
        let gone = || Err(Refusal::Rejected("gone".to_owned()));
        for (said, life) in
            [(Ok(subject), PROVEN), (gone(), REFUSED), (Err(Refusal::Busy), UNKNOWN)]
        {
            let answer = Answer::new(said, now, None);
            assert!(answer.is_good(now + life / 2) && !answer.is_good(now + life));
        }
        let mut answer = Answer::new(gone(), now, None);
        for _ in 0..20 {
            answer = Answer::new(gone(), now, Some(&answer));
        }
        assert!(answer.is_good(now + PROVEN / 2) && !answer.is_good(now + PROVEN));
    }
}

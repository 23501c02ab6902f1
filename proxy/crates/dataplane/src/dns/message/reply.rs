//! What a resolver answered: whether it is an answer to the question, how long it may be kept, and
//! how it is told again. Nothing of it is written anew but the id, times to live and letters' case.
use super::{
    HEADER, Malformed, Rcode, flag, kind, put,
    query::{Audience, Query, Question},
    section::{Records, Section},
    u16_at, u32_at,
};
use std::time::Duration;

/// Nothing is kept longer, whatever it says.
const KEEP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The same for answers that there is nothing (RFC 2308, 5: one to three hours).
const KEEP_NOTHING_MAX: Duration = Duration::from_secs(60 * 60);

/// How long an answer that is served past its time says it is good for (RFC 8767, 4).
const STALE_TTL: u32 = 30;

/// An answer that may be told to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    bytes: Box<[u8]>,
    /// Where the times to live are.
    ttls: Box<[u16]>,
    /// How long it is good.
    pub good_for: Duration,
}

/// The kind of answer a resolver gave.
///
/// # Errors
///
/// When it is no message.
pub fn rcode(bytes: &[u8]) -> Result<Rcode, Malformed> {
    u16_at(bytes, 2).map(Rcode::of)
}

/// Whether it says that there is more than fits.
pub fn is_truncated(bytes: &[u8]) -> bool {
    u16_at(bytes, 2).is_ok_and(|flags| flags & flag::TRUNCATED != 0)
}

/// Whether `bytes` can be the answer to what was sent as `asked` (a whole message).
///
/// # Errors
///
/// When it is no message, or its question cannot be read.
pub fn answers(bytes: &[u8], asked: &[u8]) -> Result<bool, Malformed> {
    let (flags, asked_flags) = (u16_at(bytes, 2)?, u16_at(asked, 2)?);
    if bytes.len() < HEADER || flags & flag::RESPONSE == 0 || u16_at(bytes, 0)? != u16_at(asked, 0)?
    {
        return Ok(false);
    }
    if (flags ^ asked_flags) & flag::OPCODE != 0 {
        return Ok(false);
    }
    // Nothing to compare in an update, a greeting and the like.
    let (Ok(1), Ok(question)) = (u16_at(asked, 4), Question::parse(asked)) else { return Ok(true) };
    match u16_at(bytes, 4)? {
        1 => Ok(Question::parse(bytes)? == question),
        // Of a message it could not read a server may say nothing else.
        0 => {
            let rcode = Rcode::of(flags);
            Ok(rcode != Rcode::NO_ERROR && rcode != Rcode::NX_DOMAIN)
        }
        _ => Ok(false),
    }
}

impl Kept {
    /// The answer to `query`, if it may be kept: for others too, whole, with a time to live, and
    /// not a failure.
    pub fn new(bytes: &[u8], query: &Query) -> Option<Self> {
        let rcode = rcode(bytes).ok()?;
        let is_kept = matches!(rcode, Rcode::NO_ERROR | Rcode::NX_DOMAIN)
            && query.audience != Audience::Asker;
        if !is_kept || is_truncated(bytes) || Question::parse(bytes) != Ok(query.question.clone()) {
            return None;
        }
        let (mut ttls, mut least, mut nothing) = (Vec::new(), u32::MAX, None);
        let mut is_answered = false;
        for record in Records::of(bytes).ok()? {
            let record = record.ok()?;
            if record.kind == kind::OPT {
                if query.audience == Audience::Cookies && !record.data.is_empty() {
                    return None;
                }
                continue;
            }
            // Above 31 bits is taken for none (RFC 2181, 8).
            let ttl = if record.ttl >> 31 == 0 { record.ttl } else { 0 };
            ttls.push(u16::try_from(record.ttl_at).ok()?);
            least = least.min(ttl);
            is_answered |= record.section == Section::Answer && record.kind == query.question.kind;
            if record.section == Section::Authority && record.kind == kind::SOA {
                nothing = Some(ttl.min(minimum(record.data)?));
            }
        }
        let is_answered = is_answered && rcode == Rcode::NO_ERROR;
        let (seconds, at_most) = match nothing {
            _ if is_answered => (least, KEEP_MAX),
            // Without this nobody says for how long there is nothing.
            Some(nothing) => (least.min(nothing), KEEP_NOTHING_MAX),
            None => return None,
        };
        let good_for = Duration::from_secs(seconds.into()).min(at_most);
        if good_for.is_zero() {
            None
        } else {
            Some(Self { bytes: bytes.into(), ttls: ttls.into(), good_for })
        }
    }

    /// The answer for who asks `age` after it was kept.
    pub fn tell(&self, query: &Query, age: Duration) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let is_stale = self.good_for <= age;
        for at in self.ttls.iter().copied().map(usize::from) {
            let left = if is_stale {
                STALE_TTL
            } else {
                u32_at(&bytes, at).unwrap_or_default().saturating_sub(seconds)
            };
            put(&mut bytes, at, &left.to_be_bytes());
        }
        for_asker(bytes, query)
    }

    /// Bytes it takes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The message with another id.
pub fn with_id(mut bytes: Vec<u8>, id: u16) -> Vec<u8> {
    put(&mut bytes, 0, &id.to_be_bytes());
    bytes
}

/// The answer for another who asked the same: with its id, and the letters' case it used.
pub fn for_asker(mut bytes: Vec<u8>, query: &Query) -> Vec<u8> {
    if Question::parse(&bytes).is_ok_and(|question| question == query.question) {
        put(&mut bytes, HEADER, query.question.name.as_bytes());
    }
    with_id(bytes, query.id)
}

/// For how long there is nothing, as an SOA says: the last of its five numbers.
fn minimum(soa: &[u8]) -> Option<u32> {
    u32_at(soa, soa.len().checked_sub(4)?).ok()
}

/// The same answer for a datagram of at most `limit` bytes: when it is larger, only what was
/// asked, and that there is more (RFC 2181, 9).
pub fn fitted(mut bytes: Vec<u8>, limit: u16) -> Vec<u8> {
    if bytes.len() <= usize::from(limit) {
        return bytes;
    }
    let flags = u16_at(&bytes, 2).unwrap_or_default() | flag::TRUNCATED;
    let question = match (u16_at(&bytes, 4), Question::parse(&bytes)) {
        (Ok(1), Ok(question)) => question.name.as_bytes().len() + 4,
        _ => {
            put(&mut bytes, 4, &[0; 2]);
            0
        }
    };
    bytes.truncate(HEADER + question);
    put(&mut bytes, 2, &flags.to_be_bytes());
    put(&mut bytes, 6, &[0; 6]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{
        message::{INTERNET, query::Asked, query::parse},
        sample,
    };
    use hickory_proto::op::Message;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn query(bytes: &[u8]) -> Query {
        match parse(bytes) {
            Ok(Asked::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_to_what_was_asked() {
        let asked = sample::ask(7, "example.org", kind::A);
        let answer = sample::answer(&asked, &[([192, 0, 2, 1], 300)]);
        assert_eq!(answers(&answer, &asked), Ok(true));
        let other_id = sample::ask(8, "example.org", kind::A);
        let other_name = sample::ask(7, "example.com", kind::A);
        let other_kind = sample::ask(7, "example.org", kind::AAAA);
        for asked in [other_id, other_name, other_kind] {
            assert_eq!(answers(&answer, &asked), Ok(false));
        }
        assert_eq!(answers(&asked, &asked), Ok(false), "a question is no answer");
        let case = sample::ask(7, "EXAMPLE.org", kind::A);
        assert_eq!(answers(&answer, &case), Ok(true));
    }

    #[test]
    fn a_server_that_cannot_read_need_not_repeat_the_question() {
        let asked = sample::ask(7, "example.org", kind::A);
        let mut bare = asked[..HEADER].to_vec();
        bare[2] = 0x80;
        bare[4..HEADER].fill(0);
        assert_eq!(answers(&bare, &asked), Ok(false));
        bare[3] = 1;
        assert_eq!(answers(&bare, &asked), Ok(true));
    }

    #[test]
    fn times_to_live_run_down_and_out() {
        let asked = sample::ask(7, "Example.org", kind::A);
        let answer = sample::answer(&asked, &[([192, 0, 2, 1], 300), ([192, 0, 2, 2], 60)]);
        let kept = Kept::new(&answer, &query(&asked)).unwrap();
        assert_eq!(kept.good_for, 60 * SECOND);
        let other = query(&sample::ask(99, "eXAMPLE.org", kind::A));
        let told = |age| {
            let told = Message::from_vec(&kept.tell(&other, age)).unwrap();
            assert_eq!(
                (told.metadata.id, told.queries[0].name().to_ascii()),
                (99, "eXAMPLE.org.".into())
            );
            told.answers.iter().map(|record| record.ttl).collect::<Vec<_>>()
        };
        assert_eq!(told(Duration::ZERO), [300, 60]);
        assert_eq!(told(59 * SECOND), [241, 1]);
        assert_eq!(told(60 * SECOND), [30, 30]);
    }

    #[test]
    fn nothing_is_kept_as_long_as_its_zone_says() {
        let asked = sample::ask(7, "example.org", kind::A);
        let query = query(&asked);
        let nothing = |rcode, ttl, minimum| {
            let soa = sample::nothing(&asked, Rcode(rcode), ttl, minimum);
            Kept::new(&soa, &query).map(|kept| kept.good_for)
        };
        assert_eq!(nothing(3, 300, 60), Some(60 * SECOND));
        assert_eq!(nothing(0, 20, 60), Some(20 * SECOND));
        assert_eq!(nothing(3, u32::MAX, 60), None);
        assert_eq!(nothing(3, 1 << 30, 1 << 30), Some(KEEP_NOTHING_MAX));
        assert_eq!(nothing(2, 300, 60), None, "a failure");
        let bare = sample::answer(&asked, &[]);
        assert_eq!(Kept::new(&bare, &query), None, "nobody says for how long");
    }

    #[test]
    fn what_is_not_whole_is_not_kept() {
        let asked = sample::ask(7, "example.org", kind::A);
        let mut answer = sample::answer(&asked, &[([192, 0, 2, 1], 300)]);
        answer.pop();
        assert_eq!(Kept::new(&answer, &query(&asked)), None);
        let mut answer = sample::answer(&asked, &[([192, 0, 2, 1], 300)]);
        answer[2] |= 2;
        assert_eq!(Kept::new(&answer, &query(&asked)), None);
        let other = sample::ask(7, "example.com", kind::A);
        let answer = sample::answer(&other, &[([192, 0, 2, 1], 300)]);
        assert_eq!(Kept::new(&answer, &query(&asked)), None);
    }

    #[test]
    fn what_does_not_fit_is_said_to_be_more() {
        let asked = sample::ask(7, "example.org", kind::A);
        let addresses: Vec<_> = (0..100).map(|last| ([192, 0, 2, last], 300)).collect();
        let answer = sample::answer(&asked, &addresses);
        assert_eq!(fitted(answer.clone(), u16::MAX), answer);
        let cut = Message::from_vec(&fitted(answer, 512)).unwrap();
        assert!(cut.metadata.truncation && cut.answers.is_empty());
        assert_eq!(cut.queries[0].query_class(), INTERNET.into());
    }

    proptest! {
        #[test]
        fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..600), limit in any::<u16>()) {
            let asked = sample::ask(7, "example.org", kind::A);
            prop_assert_ne!(answers(&bytes, &asked), Ok(true));
            drop(Kept::new(&bytes, &query(&asked)));
            prop_assert!(fitted(bytes, limit).len() <= usize::from(limit.max(12 + 255 + 4)));
        }

        /// An answer in which bytes are wrong is told without changing more than it may.
        #[test]
        fn a_broken_answer_is_survived(
            wrong in prop::collection::vec((0..200_usize, any::<u8>()), 1..4),
            age in 0..100_u64,
        ) {
            let asked = sample::ask(7, "example.org", kind::A);
            let mut answer = sample::answer(&asked, &[([192, 0, 2, 1], 300), ([192, 0, 2, 2], 60)]);
            let length = answer.len();
            for (at, byte) in wrong {
                answer[at % length] = byte;
            }
            let query = query(&asked);
            if let Some(kept) = Kept::new(&answer, &query) {
                prop_assert_eq!(kept.tell(&query, Duration::from_secs(age)).len(), length);
            }
        }
    }
}

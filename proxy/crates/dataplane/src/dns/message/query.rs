//! What is asked.
use super::{
    HEADER, Malformed, UDP_MIN, flag, kind,
    name::Name,
    section::{Records, Section},
    u16_at,
};

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub name: Name,
    pub kind: u16,
    pub class: u16,
}

/// What the asker says in an OPT record (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The largest datagram it takes, as written: it may be too small to be meant.
    pub size: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    pub options: Options,
}

/// What an asker says of itself besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Options {
    None,
    /// By which it knows the resolver again (RFC 7873); many resolvers do not answer it.
    Cookie,
    Other,
}

/// Who may be told the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever asks the same: the question has nothing beside it.
    All,
    /// The same, when the answer shows that the resolver takes no notice of cookies.
    Cookies,
    /// Nobody else.
    Asker,
}

/// A message that asks one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub id: u16,
    pub flags: u16,
    pub question: Question,
    pub edns: Option<Edns>,
    pub audience: Audience,
}

/// What an answer depends on: the question, and what is wanted of the resolver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sort {
    question: Question,
    flags: u16,
    /// The version, whether signatures are wanted, and whether there is a cookie.
    edns: Option<(u8, bool, bool)>,
}

/// A message that came from an asker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Query(Query),
    /// An update, a notification or whatever else is sent to a server: not looked into.
    Other,
}

/// Why a message is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// To answer it might be to talk to another server without end.
    #[error("no DNS request")]
    NoRequest,
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Question {
    /// The question after the header.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let name = Name::parse(bytes.get(HEADER..).ok_or(Malformed)?)?;
        let tail = HEADER + name.as_bytes().len();
        Ok(Self { name, kind: u16_at(bytes, tail)?, class: u16_at(bytes, tail + 2)? })
    }
}

impl Edns {
    /// The largest datagram it takes.
    pub fn datagram(self) -> u16 {
        self.size.max(UDP_MIN)
    }
}

impl Query {
    /// What all who are to get the same answer have in common.
    pub fn sort(&self) -> Sort {
        let edns =
            self.edns.map(|edns| (edns.version, edns.dnssec_ok, edns.options == Options::Cookie));
        Sort { question: self.question.clone(), flags: self.flags, edns }
    }

    /// Sorts of which an answer is better than none, the best first.
    pub fn stand_ins(&self) -> impl Iterator<Item = Sort> {
        let own = self.sort();
        let without_options = Sort {
            edns: own.edns.map(|(version, signed, _)| (version, signed, false)),
            ..own.clone()
        };
        let flags = own.flags & flag::RECURSION_DESIRED;
        let plain = Sort { flags, edns: None, ..own.clone() };
        // Who checks signatures takes an answer without them for a forgery.
        let checks = own.flags & flag::CHECKING_DISABLED != 0
            || own.edns.is_some_and(|(_, signed, _)| signed);
        [own, without_options].into_iter().chain((!checks).then_some(plain))
    }

    /// The largest datagram the asker takes.
    pub fn datagram(&self) -> u16 {
        self.edns.map_or(UDP_MIN, Edns::datagram)
    }
}

/// Reads what an asker sent.
///
/// # Errors
///
/// When it is no request, or its question or a record cannot be read.
pub fn parse(bytes: &[u8]) -> Result<Asked, NotAsked> {
    let Ok(flags) = u16_at(bytes, 2) else { return Err(NotAsked::NoRequest) };
    if bytes.len() < HEADER || flags & flag::RESPONSE != 0 {
        return Err(NotAsked::NoRequest);
    }
    if flags & flag::OPCODE != 0 {
        return Ok(Asked::Other);
    }
    let query = read(bytes, flags)?;
    Ok(query.map_or(Asked::Other, Asked::Query))
}

/// `None`: nothing is asked; some servers are greeted so (RFC 7873, 5.4).
fn read(bytes: &[u8], flags: u16) -> Result<Option<Query>, Malformed> {
    let id = u16_at(bytes, 0)?;
    let question = match u16_at(bytes, 4)? {
        0 => None,
        1 => Some(Question::parse(bytes)?),
        _ => return Err(Malformed),
    };
    let (mut edns, mut audience) = (None, Audience::All);
    for record in Records::of(bytes)? {
        let record = record?;
        let is_edns = record.kind == kind::OPT && record.section == Section::Additional;
        if !is_edns {
            // Signed, perhaps.
            audience = Audience::Asker;
            continue;
        }
        let [_, version, upper, lower] = record.ttl.to_be_bytes();
        let found = Edns {
            size: record.class,
            version,
            dnssec_ok: u16::from_be_bytes([upper, lower]) & flag::DNSSEC_OK != 0,
            options: options(record.data),
        };
        if !record.is_of_root || edns.replace(found).is_some() {
            return Err(Malformed);
        }
        audience = match (audience, found.options) {
            (Audience::Asker, _) | (_, Options::Other) => Audience::Asker,
            (_, Options::Cookie) => Audience::Cookies,
            (other, Options::None) => other,
        };
    }
    Ok(question.map(|question| Query { id, flags, question, edns, audience }))
}

/// Which options there are.
fn options(data: &[u8]) -> Options {
    const COOKIE: u16 = 10;
    if data.is_empty() {
        return Options::None;
    }
    let is_all = |length: u16| data.len() == 4 + usize::from(length);
    let is_cookie = u16_at(data, 0) == Ok(COOKIE) && u16_at(data, 2).is_ok_and(is_all);
    if is_cookie { Options::Cookie } else { Options::Other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::sample;
    use hickory_proto::{op::Message, serialize::binary::BinEncodable as _};
    use proptest::prelude::*;

    #[track_caller]
    fn query(bytes: &[u8]) -> Query {
        match parse(bytes) {
            Ok(Asked::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_a_question() {
        let asked = query(&sample::ask(7, "Web.Shop", kind::AAAA));
        assert_eq!((asked.id, asked.question.kind, asked.question.class), (7, kind::AAAA, 1));
        assert_eq!(asked.question.name.to_string(), "Web.Shop.");
        assert_eq!((asked.edns, asked.audience, asked.datagram()), (None, Audience::All, 512));
    }

    #[test]
    fn reads_edns() {
        let asked = query(&sample::ask_edns(7, "web", kind::A, 1232));
        assert_eq!(asked.audience, Audience::All);
        assert_eq!(asked.datagram(), 1232);
        assert_eq!(query(&sample::ask_edns(7, "web", kind::A, 12)).datagram(), 512);
        let audience = |code| query(&sample::ask_with_option(7, "web", kind::A, code)).audience;
        assert_eq!((audience(10), audience(8)), (Audience::Cookies, Audience::Asker));
    }

    #[test]
    fn what_is_no_request_is_not_answered() {
        let mut reply = sample::ask(7, "web", kind::A);
        reply[2] |= 0x80;
        for bytes in [&b""[..], &[0; 11], &reply] {
            assert_eq!(parse(bytes), Err(NotAsked::NoRequest));
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_from_what_is_not_for_us() {
        let mut update = sample::ask(7, "web", kind::A);
        update[2] |= 5 << 3;
        assert_eq!(parse(&update), Ok(Asked::Other));
        assert_eq!(parse(&[0; 12]), Ok(Asked::Other));
        let mut twice = sample::ask(7, "web", kind::A);
        twice[5] = 2;
        assert_eq!(parse(&twice), Err(NotAsked::Malformed(Malformed)));
        let whole = sample::ask(7, "web", kind::A);
        assert_eq!(parse(&whole[..whole.len() - 1]), Err(NotAsked::Malformed(Malformed)));
        let mut pointer = sample::ask(7, "web", kind::A);
        pointer[HEADER] = 0xc0;
        assert_eq!(parse(&pointer), Err(NotAsked::Malformed(Malformed)));
    }

    proptest! {
        #[test]
        fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            drop(parse(&bytes));
        }

        /// Whatever byte of a query is wrong, nothing else is read into it than an independent
        /// reader does.
        #[test]
        fn others_read_the_same(at in 0..40_usize, byte in any::<u8>()) {
            let mut bytes = sample::ask_edns(7, "web.shop.svc", kind::A, 1232);
            let at = at % bytes.len();
            bytes[at] = byte;
            if let (Ok(Asked::Query(query)), Ok(theirs)) = (parse(&bytes), Message::from_vec(&bytes)) {
                prop_assert_eq!(query.id, theirs.metadata.id);
                let [question] = &theirs.queries[..] else { panic!() };
                prop_assert_eq!(query.question.kind, u16::from(question.query_type()));
                prop_assert_eq!(question.name().to_bytes().unwrap(), query.question.name.as_bytes());
            }
        }
    }
}

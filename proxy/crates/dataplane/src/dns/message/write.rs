//! Answers of our own.
use super::{
    HEADER, INTERNET, Rcode, flag, kind,
    name::Name,
    query::{Edns, Query},
    u16_at,
};
use std::net::IpAddr;

/// A pointer to the name of the question, which follows the header.
const OF_QUESTION: u16 = 0xc000 | 12;

/// Bytes of an OPT record without options.
const OPT: usize = 11;

/// The largest datagram we say we take: what crosses every network in one piece.
const DATAGRAM: u16 = 1232;

/// An option that says why a question was not answered (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// What is answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    pub rcode: Rcode,
    pub authoritative: bool,
    /// The name that is asked for is another name of this one.
    pub canonical: Option<&'a Name>,
    /// Of the family that is asked for; others are left out.
    pub ips: &'a [IpAddr],
    pub ttl: u32,
    /// For a person who wonders: a number of RFC 8914, and a word.
    pub because: Option<(u16, &'static str)>,
}

/// A message as it is written.
struct Writer {
    bytes: Vec<u8>,
    limit: usize,
    answers: u16,
}

impl Default for Rcode {
    fn default() -> Self {
        Self::NO_ERROR
    }
}

impl Reply<'_> {
    /// The answer to `query` in at most `limit` bytes: what does not fit is left out, and said to be.
    pub fn write(&self, query: &Query, limit: u16) -> Vec<u8> {
        let edns = query.edns.map(|edns| self.opt(edns)).unwrap_or_default();
        let limit = usize::from(limit).saturating_sub(edns.len());
        let mut writer = Writer { bytes: vec![0; HEADER], limit, answers: 0 };
        writer.question(query);
        let is_whole = self.records(query, &mut writer);
        let Writer { mut bytes, answers, .. } = writer;
        bytes.extend_from_slice(&edns);

        let mut flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | (self.rcode.0 & flag::RCODE);
        flags |= query.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
        if self.authoritative {
            flags |= flag::AUTHORITATIVE;
        }
        if !is_whole {
            flags |= flag::TRUNCATED;
        }
        let words = [query.id, flags, 1, answers, 0, u16::from(!edns.is_empty())];
        for (place, word) in bytes.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Whether all of them fit.
    fn records(&self, query: &Query, writer: &mut Writer) -> bool {
        let mut owner = OF_QUESTION;
        if let Some(canonical) = self.canonical {
            let place = writer.bytes.len() + 12;
            if !writer.record(owner, kind::CNAME, self.ttl, canonical.as_bytes()) {
                return false;
            }
            // It follows a question of at most 259 bytes: a pointer's 14 bits are enough.
            owner = 0xc000 | u16::try_from(place).unwrap_or_default();
        }
        self.ips.iter().all(|ip| match (ip, query.question.kind) {
            (IpAddr::V4(ip), kind::A) => writer.record(owner, kind::A, self.ttl, &ip.octets()),
            (IpAddr::V6(ip), kind::AAAA) => {
                writer.record(owner, kind::AAAA, self.ttl, &ip.octets())
            }
            _ => true,
        })
    }

    /// The OPT record for who sent one.
    fn opt(&self, asked: Edns) -> Vec<u8> {
        let upper = u8::try_from(self.rcode.0 >> 4).unwrap_or_default();
        let flags = if asked.dnssec_ok { flag::DNSSEC_OK } else { 0 };
        let option = self.because.map(extended_error).unwrap_or_default();
        let mut opt = Vec::with_capacity(OPT + option.len());
        opt.push(0);
        opt.extend_from_slice(&kind::OPT.to_be_bytes());
        opt.extend_from_slice(&DATAGRAM.to_be_bytes());
        opt.extend_from_slice(&[upper, 0]);
        opt.extend_from_slice(&flags.to_be_bytes());
        opt.extend_from_slice(&u16::try_from(option.len()).unwrap_or_default().to_be_bytes());
        opt.extend_from_slice(&option);
        opt
    }
}

impl Writer {
    fn question(&mut self, query: &Query) {
        self.bytes.extend_from_slice(query.question.name.as_bytes());
        self.bytes.extend_from_slice(&query.question.kind.to_be_bytes());
        self.bytes.extend_from_slice(&query.question.class.to_be_bytes());
    }

    /// Whether it fits.
    fn record(&mut self, owner: u16, kind: u16, ttl: u32, data: &[u8]) -> bool {
        let length = u16::try_from(data.len()).ok();
        let fits = self.bytes.len() + 12 + data.len() <= self.limit;
        let (Some(length), Some(answers), true) = (length, self.answers.checked_add(1), fits)
        else {
            return false;
        };
        for word in [owner, kind, INTERNET] {
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
        self.bytes.extend_from_slice(&ttl.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(data);
        self.answers = answers;
        true
    }
}

/// A question of our own, with EDNS and some id.
pub fn question(name: &Name, kind: u16) -> Vec<u8> {
    let words = [0, flag::RECURSION_DESIRED, 1, 0, 0, 1];
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend([kind, INTERNET].into_iter().flat_map(u16::to_be_bytes));
    bytes.push(0);
    bytes.extend([kind::OPT, DATAGRAM, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes));
    bytes
}

/// The answer to a request of which no more can be read than its header.
pub fn unreadable(bytes: &[u8]) -> Vec<u8> {
    bare(bytes, Rcode::FORM_ERR)
}

/// An answer that is no more than a header.
pub fn bare(asked: &[u8], rcode: Rcode) -> Vec<u8> {
    let (id, flags) = (u16_at(asked, 0).unwrap_or_default(), u16_at(asked, 2).unwrap_or_default());
    let kept = flag::OPCODE | flag::RECURSION_DESIRED;
    let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | (flags & kept) | rcode.0;
    [id, flags, 0, 0, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect()
}

fn extended_error((code, word): (u16, &'static str)) -> Vec<u8> {
    let length = u16::try_from(2 + word.len()).unwrap_or_default();
    let mut option = Vec::new();
    for number in [EXTENDED_ERROR, length, code] {
        option.extend_from_slice(&number.to_be_bytes());
    }
    option.extend_from_slice(word.as_bytes());
    option
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{
        message::{
            query::{Asked, parse},
            reply::answers,
        },
        sample,
    };
    use hickory_proto::{
        op::{Message, ResponseCode},
        rr::{RecordType, rdata::opt::EdnsOption},
    };
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn query(bytes: &[u8]) -> Query {
        match parse(bytes) {
            Ok(Asked::Query(query)) => query,
            other => panic!("{other:?}"),
        }
    }

    fn ips(count: u8) -> Vec<IpAddr> {
        (0..count).map(|last| Ipv4Addr::new(10, 0, 0, last).into()).collect()
    }

    #[test]
    fn addresses_of_another_name() {
        let asked = sample::ask_edns(7, "Web.shop.svc.cluster.local", kind::A, 1232);
        let canonical = Name::from_host("web").unwrap();
        let ips = ips(2);
        let reply = Reply {
            authoritative: true,
            canonical: Some(&canonical),
            ips: &ips,
            ttl: 30,
            ..Reply::default()
        };
        let bytes = reply.write(&query(&asked), 1232);
        assert_eq!(answers(&bytes, &asked), Ok(true));
        let read = Message::from_vec(&bytes).unwrap();
        let records: Vec<_> = read.answers.iter().map(ToString::to_string).collect();
        assert_eq!(
            records,
            [
                "Web.shop.svc.cluster.local. 30 IN CNAME web.",
                "web. 30 IN A 10.0.0.0",
                "web. 30 IN A 10.0.0.1"
            ]
        );
        assert!(read.metadata.authoritative && !read.metadata.truncation);
        assert!(read.edns.is_some());
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said_to_be() {
        let asked = sample::ask(7, "web", kind::A);
        let ips = ips(200);
        let reply = Reply { ips: &ips, ..Reply::default() };
        let bytes = reply.write(&query(&asked), 512);
        let read = Message::from_vec(&bytes).unwrap();
        assert!(bytes.len() <= 512 && read.metadata.truncation);
        assert_eq!(read.answers.len(), (512 - 21) / 16);
        let read = Message::from_vec(&reply.write(&query(&asked), u16::MAX)).unwrap();
        assert!(!read.metadata.truncation);
        assert_eq!(read.answers.len(), 200);
    }

    #[test]
    fn only_the_family_that_is_asked_for() {
        let asked = sample::ask(7, "web", kind::AAAA);
        let both = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let reply = Reply { ips: &both, ..Reply::default() };
        let read = Message::from_vec(&reply.write(&query(&asked), 512)).unwrap();
        let [record] = &read.answers[..] else { panic!("{read}") };
        assert_eq!(record.record_type(), RecordType::AAAA);
    }

    #[test]
    fn a_failure_says_why() {
        let asked = sample::ask_edns(7, "web", kind::A, 1232);
        let reply =
            Reply { rcode: Rcode::SERV_FAIL, because: Some((23, "no answer")), ..Reply::default() };
        let read = Message::from_vec(&reply.write(&query(&asked), 512)).unwrap();
        assert_eq!(read.metadata.response_code, ResponseCode::ServFail);
        let edns = read.edns.unwrap();
        let option = edns.option(EXTENDED_ERROR.into()).unwrap();
        let EdnsOption::Unknown(_, option) = option else { panic!("{option:?}") };
        assert_eq!(option, b"\x00\x17no answer");
        let reply = Reply { rcode: Rcode::BAD_VERS, ..Reply::default() };
        let read = Message::from_vec(&reply.write(&query(&asked), 512)).unwrap();
        assert_eq!(u16::from(read.metadata.response_code), 16);
    }

    #[test]
    fn what_cannot_be_read_is_answered_with_no_more_than_that() {
        let mut asked = sample::ask(7, "web", kind::A);
        asked[5] = 2;
        let bytes = unreadable(&asked);
        assert!(bytes.len() <= asked.len());
        let read = Message::from_vec(&bytes).unwrap();
        assert_eq!((read.metadata.id, read.metadata.response_code), (7, ResponseCode::FormErr));
        assert!(read.metadata.recursion_desired && read.queries.is_empty());
    }

    proptest! {
        #[test]
        fn answers_only_what_was_asked(
            labels in prop::collection::vec("[a-zA-Z0-9]{1,63}", 1..4),
            kind in any::<u16>(), count in 0..100_u8, limit in 512..4096_u16,
        ) {
            let host = labels.join(".");
            let asked = sample::ask_edns(7, &host, kind, limit);
            let query = query(&asked);
            let (canonical, ips) = (query.question.name.first_labels(1), ips(count));
            let reply = Reply { canonical: Some(&canonical), ips: &ips, ..Reply::default() };
            let bytes = reply.write(&query, limit);
            prop_assert!(bytes.len() <= usize::from(limit));
            prop_assert_eq!(answers(&bytes, &asked), Ok(true));
            let read = Message::from_vec(&bytes).unwrap();
            prop_assert_eq!(u16::from(read.queries[0].query_type()), kind);
        }
    }
}

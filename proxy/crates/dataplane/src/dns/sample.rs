//! Messages for tests, written by an independent implementation.
use crate::dns::message::{Rcode, flag, u16_at};
use hickory_proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, SOA, opt::EdnsOption},
    },
};
use std::str::FromStr as _;

fn message(id: u16, host: &str, kind: u16) -> Message {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    let name = Name::from_ascii(format!("{host}.")).unwrap();
    message.add_query(Query::query(name, RecordType::from(kind)));
    message
}

/// A question without EDNS.
pub(crate) fn ask(id: u16, host: &str, kind: u16) -> Vec<u8> {
    message(id, host, kind).to_vec().unwrap()
}

/// A question of who takes datagrams of `size` bytes.
pub(crate) fn ask_edns(id: u16, host: &str, kind: u16, size: u16) -> Vec<u8> {
    let mut message = message(id, host, kind);
    let mut bytes = {
        let mut edns = Edns::new();
        edns.set_max_payload(size.max(512));
        message.set_edns(edns);
        message.to_vec().unwrap()
    };
    // The sample's writer would not write one that is too small.
    let at = bytes.len() - 8;
    bytes[at..at + 2].copy_from_slice(&size.to_be_bytes());
    bytes
}

/// A question with an option: 10 is a cookie.
pub(crate) fn ask_with_option(id: u16, host: &str, kind: u16, code: u16) -> Vec<u8> {
    let mut message = message(id, host, kind);
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Unknown(code, b"8 bytes.".to_vec()));
    message.set_edns(edns);
    message.to_vec().unwrap()
}

fn reply(asked: &[u8], rcode: Rcode) -> Message {
    let asked = Message::from_vec(asked).unwrap();
    let mut reply = Message::response(asked.metadata.id, asked.metadata.op_code);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = ResponseCode::from_low(u8::try_from(rcode.0).unwrap());
    reply.add_query(asked.queries[0].clone());
    if asked.edns.is_some() {
        reply.set_edns(Edns::new());
    }
    reply
}

/// An answer with these addresses and times to live.
pub(crate) fn answer(asked: &[u8], addresses: &[([u8; 4], u32)]) -> Vec<u8> {
    let mut reply = reply(asked, Rcode::NO_ERROR);
    let name = reply.queries[0].name().clone();
    for (address, ttl) in addresses {
        reply.add_answer(Record::from_rdata(name.clone(), *ttl, RData::A(A((*address).into()))));
    }
    reply.to_vec().unwrap()
}

/// An answer that there is nothing, of a zone that says so.
pub(crate) fn nothing(asked: &[u8], rcode: Rcode, ttl: u32, minimum: u32) -> Vec<u8> {
    let mut reply = reply(asked, rcode);
    let zone = Name::from_str("org.").unwrap();
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86400, minimum);
    reply.add_authority(Record::from_rdata(zone, ttl, RData::SOA(soa)));
    reply.to_vec().unwrap()
}

/// The addresses of an answer, in order.
pub(crate) fn addresses(bytes: &[u8]) -> Vec<std::net::IpAddr> {
    let message = Message::from_vec(bytes).unwrap();
    message.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
}

/// How a message answers.
pub(crate) fn rcode(bytes: &[u8]) -> Rcode {
    let flags = u16_at(bytes, 2).unwrap();
    assert!(flags & flag::RESPONSE != 0);
    Rcode(flags & flag::RCODE)
}

//! Laws that hold for whatever bytes come, for fuzzers and tests.
use super::{
    block::Assembly,
    code::Fault,
    frame::{FRAME_DEFAULT, Frame, HEAD, Head, Kind, write},
    hpack::{Decoder, Encoder, HpackError, OVERHEAD},
    message,
    request::Request,
    response::Response,
};

type List = Vec<(Vec<u8>, Vec<u8>)>;

/// How much of a list is taken.
const LIMIT: usize = 16 << 10;

/// Reads blocks, each after a byte that says how long it is.
///
/// Whatever they are: no more is told than was asked for; what is told can be written and is read
/// again; and how much somebody wants of a list changes nothing for the lists that follow.
///
/// # Panics
///
/// When that does not hold.
pub fn hpack(mut bytes: &[u8]) {
    let (mut one, mut other, mut strict) = (decoder(), decoder(), decoder());
    let (mut encoder, mut reader) = (Encoder::default(), decoder());
    while let Some((&length, rest)) = bytes.split_first() {
        let (block, rest) = rest.split_at(rest.len().min(usize::from(length)));
        bytes = rest;
        let (list, outcome) = read(&mut one, block, LIMIT);
        let size = |list: &List| -> usize {
            list.iter().map(|(name, value)| name.len() + value.len() + OVERHEAD).sum()
        };
        assert!(size(&list) <= LIMIT, "more was told than was asked for");
        let (short, refused) = read(&mut strict, block, size(&list) / 2);
        assert!(list.starts_with(&short), "a short list is the beginning of the long one");
        let lost =
            |outcome: Result<(), HpackError>| outcome.err().filter(HpackError::is_link_fault);
        assert_eq!(lost(refused), lost(outcome), "how much is wanted decides what is wrong");
        assert_eq!(lost(other.skip(block)), lost(outcome), "a skipped block is judged otherwise");
        if lost(outcome).is_some() {
            return;
        }
        let mut written = Vec::new();
        for (name, value) in &list {
            encoder.encode(name, value, &mut written);
        }
        assert_eq!(read(&mut reader, &written, LIMIT), (list, Ok(())));
    }
    // All three have seen the same, and know the same.
    for index in 0x80 | 1..=u8::MAX {
        let known = read(&mut one, &[index], LIMIT);
        assert_eq!(known, read(&mut other, &[index], LIMIT));
        assert_eq!(known, read(&mut strict, &[index], LIMIT));
    }
}

/// Reads what may be messages: they are, or are not, without a panic.
pub fn messages(block: &[u8]) {
    drop(Request::decode(&mut decoder(), block, LIMIT));
    drop(Response::decode(&mut decoder(), block, LIMIT));
    message::trailers(&mut decoder(), block, LIMIT).unwrap_or_default();
}

/// Reads frames as they come: what is understood is read again as it was when it is written.
///
/// # Panics
///
/// When it is not, or when more of a block is kept than may be.
pub fn frames(bytes: &[u8]) {
    let mut assembly = Assembly::new(LIMIT);
    walk(bytes, &mut assembly).unwrap_or_default();
}

fn walk(mut bytes: &[u8], assembly: &mut Assembly) -> Result<(), Fault> {
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let head = Head::parse(head);
        assert_eq!(Head::parse(&head.write()), head);
        head.check(FRAME_DEFAULT)?;
        assembly.check(head)?;
        let length = usize::try_from(head.length).unwrap_or(usize::MAX);
        let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(()) };
        bytes = rest;
        if head.kind == Kind::Data {
            let pad = head.flags.has(super::frame::Flags::PADDED).then(|| payload[0]);
            let parsed = Frame::parse(head, payload);
            assert_eq!(parsed.map(drop), head.data_part(pad).map(drop));
        }
        let frame = Frame::parse(head, payload)?;
        again(&frame);
        if let Some(block) = assembly.take(&frame)? {
            assert!(block.bytes.as_ref().len() <= LIMIT);
            messages(block.bytes.as_ref());
        }
    }
    Ok(())
}

/// Writes a frame and reads it.
fn again(frame: &Frame<'_>) {
    let mut out = Vec::new();
    match *frame {
        Frame::Reset { stream, code } => write::reset(stream, code, &mut out),
        Frame::Settings(settings) => write::settings(&settings, &mut out),
        Frame::SettingsAck => write::settings_ack(&mut out),
        Frame::Ping(said) => write::ping(said, &mut out),
        Frame::Pong(said) => write::pong(said, &mut out),
        Frame::GoAway { last, code, debug } => write::go_away(last, code, debug, &mut out),
        Frame::WindowUpdate { stream, increment } => {
            write::window_update(stream, increment, &mut out);
        }
        Frame::Headers { stream, end_stream, end_headers: true, fragment } => {
            write::headers(stream, fragment, end_stream, FRAME_DEFAULT, &mut out);
        }
        Frame::Headers { end_headers: false, .. }
        | Frame::Data { .. }
        | Frame::Continuation { .. }
        | Frame::Ignored => return,
    }
    let (head, payload) = out.split_first_chunk().expect("a frame has a head");
    assert_eq!(Frame::parse(Head::parse(head), payload).as_ref(), Ok(frame));
}

fn decoder() -> Decoder {
    Decoder::new(0)
}

fn read(decoder: &mut Decoder, block: &[u8], limit: usize) -> (List, Result<(), HpackError>) {
    let mut list = List::new();
    let outcome =
        decoder.decode(block, limit, &mut |name, value| list.push((name.to_vec(), value.to_vec())));
    (list, outcome)
}

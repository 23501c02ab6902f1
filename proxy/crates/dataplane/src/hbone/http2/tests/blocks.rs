//! Header blocks that come in pieces.
use crate::hbone::http2::{
    block::{Assembly, Block, Whole},
    code::{Code, Fault},
    frame::{Flags, Frame, Head, Kind},
};

const fn headers(fragment: &[u8], end_headers: bool) -> Frame<'_> {
    Frame::Headers { stream: 1, end_stream: true, end_headers, fragment }
}

const fn more(fragment: &[u8], end_headers: bool) -> Frame<'_> {
    Frame::Continuation { stream: 1, end_headers, fragment }
}

fn head(kind: Kind, stream: u32) -> Head {
    Head { length: 0, kind, flags: Flags::NONE, stream }
}

fn code<T>(outcome: Result<T, Fault>) -> Option<Code> {
    outcome.err().map(|fault| {
        assert!(matches!(fault, Fault::Link { .. }), "{fault}");
        fault.code()
    })
}

#[test]
fn a_block_in_one_frame_is_not_copied() {
    let mut assembly = Assembly::new(100);
    let block = assembly.take(&headers(b"abc", true)).unwrap().unwrap();
    assert_eq!(block, Block { stream: 1, end_stream: true, bytes: Whole::One(b"abc") });
}

#[test]
fn a_block_in_several_frames_is_put_together() {
    let mut assembly = Assembly::new(100);
    // Twice: nothing is left of the first.
    for _ in 0..2 {
        assert_eq!(assembly.take(&headers(b"abc", false)), Ok(None));
        assert!(assembly.is_open());
        assert_eq!(assembly.take(&more(b"", false)), Ok(None));
        let block = assembly.take(&more(b"def", true)).unwrap().unwrap();
        assert_eq!((block.bytes.as_ref(), block.end_stream), (&b"abcdef"[..], true));
        assert!(!assembly.is_open());
    }
}

#[test]
fn nothing_comes_between_the_frames_of_a_block() {
    let mut assembly = Assembly::new(100);
    let continuation = head(Kind::Continuation, 1);
    assert_eq!(code(assembly.check(continuation)), Some(Code::PROTOCOL_ERROR));
    assert_eq!(assembly.check(head(Kind::Ping, 0)), Ok(()));
    assembly.take(&headers(b"abc", false)).unwrap();
    for between in [
        head(Kind::Ping, 0),
        head(Kind::Data, 1),
        head(Kind::Headers, 1),
        head(Kind::Unknown(77), 1),
        head(Kind::Continuation, 3),
    ] {
        assert_eq!(code(assembly.check(between)), Some(Code::PROTOCOL_ERROR), "{between:?}");
    }
    assert_eq!(assembly.check(continuation), Ok(()));
    // Not even when nobody asked.
    assert_eq!(code(assembly.take(&headers(b"abc", true))), Some(Code::PROTOCOL_ERROR));
    let stranger = Frame::Continuation { stream: 3, end_headers: true, fragment: b"" };
    assert_eq!(code(assembly.take(&stranger)), Some(Code::PROTOCOL_ERROR));
}

#[test]
fn a_block_without_an_end_is_one_soon() {
    let calm = Some(Code::ENHANCE_YOUR_CALM);
    assert_eq!(code(Assembly::new(100).take(&headers(&[0; 101], true))), calm);
    let flood = |limit, piece: &[u8]| {
        let mut assembly = Assembly::new(limit);
        let mut outcome = assembly.take(&headers(b"", false));
        let mut frames = 0;
        while outcome.is_ok() {
            frames += 1;
            outcome = assembly.take(&more(piece, false));
        }
        (code(outcome), frames)
    };
    assert_eq!(flood(100, &[0; 30]), (calm, 4));
    assert_eq!(flood(100, b""), (calm, 17));
    // Its head is enough to know.
    let sized = |kind, length| Head { length, ..head(kind, 1) };
    let mut assembly = Assembly::new(100);
    assert_eq!(assembly.check(sized(Kind::Headers, 361)), Ok(()));
    assert_eq!(code(assembly.check(sized(Kind::Headers, 362))), calm);
    assembly.take(&headers(&[0; 60], false)).unwrap();
    assert_eq!(assembly.check(sized(Kind::Continuation, 40)), Ok(()));
    assert_eq!(code(assembly.check(sized(Kind::Continuation, 41))), calm);
}

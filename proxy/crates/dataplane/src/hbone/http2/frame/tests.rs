use super::*;
use crate::hbone::http2::{
    code::{Code, Fault},
    fuzz,
    settings::Settings,
};
use proptest::prelude::*;

fn head(length: u32, kind: u8, flags: u8, stream: u32) -> Head {
    let ([_, l0, l1, l2], [s0, s1, s2, s3]) = (length.to_be_bytes(), stream.to_be_bytes());
    Head::parse(&[l0, l1, l2, kind, flags, s0, s1, s2, s3])
}

#[test]
fn a_link_is_not_talked_about_at_length() {
    for kind in [4, 7] {
        let large = head(16_386, kind, 0, 0);
        assert_eq!(wrong(large.check(1 << 20)), Some((Code::ENHANCE_YOUR_CALM, 0)));
        let small = head(16_380, kind, 0, 0);
        assert_eq!(small.check(1 << 20), Ok(()));
    }
}

/// What is wrong, by its code and how far it reaches.
fn wrong<T>(outcome: Result<T, Fault>) -> Option<(Code, u32)> {
    match outcome.err()? {
        Fault::Link { code, .. } => Some((code, 0)),
        Fault::Stream { stream, code, .. } => Some((code, stream)),
    }
}

#[test]
fn a_head_that_cannot_be_ends_the_link() {
    let (size, protocol) = (Code::FRAME_SIZE_ERROR, Code::PROTOCOL_ERROR);
    for (length, kind, flags, stream, code) in [
        // Too large: whatever it is.
        (16_385, 0, 0, 1, size),
        (16_385, 1, 0, 1, size),
        (16_385, 77, 0, 1, size),
        // Of the link, or of a stream, where it must not be.
        (1, 0, 0, 0, protocol),
        (1, 1, 0, 0, protocol),
        (5, 2, 0, 0, protocol),
        (4, 3, 0, 0, protocol),
        (0, 4, 0, 1, protocol),
        (8, 6, 0, 1, protocol),
        (8, 7, 0, 1, protocol),
        (1, 9, 0, 0, protocol),
        // Of a length that its kind does not have.
        (0, 0, 0x8, 1, size),
        (0, 1, 0x8, 1, size),
        (4, 1, 0x20, 1, size),
        (5, 1, 0x28, 1, size),
        (4, 2, 0, 1, size),
        (3, 3, 0, 1, size),
        (5, 3, 0, 1, size),
        (5, 4, 0, 0, size),
        (6, 4, 0x1, 0, size),
        (7, 6, 0, 0, size),
        (7, 7, 0, 0, size),
        (3, 8, 0, 0, size),
        (5, 8, 0, 1, size),
        // Pushed.
        (4, 5, 0, 1, protocol),
    ] {
        let head = head(length, kind, flags, stream);
        assert_eq!(wrong(head.check(FRAME_DEFAULT)), Some((code, 0)), "{head:?}");
    }
}

#[test]
fn a_head_that_can_be_is_taken() {
    for (length, kind, flags, stream) in [
        (0, 0, 0, 1),
        (16_384, 0, 0x1, 1),
        (1, 0, 0x8, 1),
        (0, 1, 0x5, 1),
        (6, 1, 0x28, 1),
        (5, 2, 0, 1),
        (4, 3, 0, 1),
        (0, 4, 0, 0),
        (0, 4, 0x1, 0),
        (600, 4, 0, 0),
        (8, 6, 0x1, 0),
        (16_000, 7, 0, 0),
        (4, 8, 0, 0),
        (4, 8, 0, 1),
        (0, 9, 0, 1),
        (0, 77, 0xff, 0),
        (9, 77, 0xff, 1),
    ] {
        let head = head(length, kind, flags, stream);
        assert_eq!(head.check(FRAME_DEFAULT), Ok(()), "{head:?}");
    }
    // The first bit of a stream's id is nobody's.
    assert_eq!(head(4, 3, 0, 0x8000_0007).stream, 7);
}

fn parsed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Frame<'_>, Fault> {
    Frame::parse(head(u32::try_from(payload.len()).unwrap(), kind, flags, stream), payload)
}

#[test]
fn padding_and_priorities_are_taken_off() {
    let bytes = b"word";
    let padded = b"\x03word\0\0\0";
    let data = |end_stream| Ok(Frame::Data { stream: 1, end_stream, bytes });
    assert_eq!(parsed(0, 0, 1, b"word"), data(false));
    assert_eq!(parsed(0, 0x9, 1, padded), data(true));
    assert_eq!(parsed(0, 0x8, 1, b"\0word"), data(false));
    assert_eq!(head(8, 0, 0x8, 1).data_part(Some(3)), Ok(DataPart { data: 4, padding: 3 }));
    assert_eq!(head(4, 0, 0x8, 1).data_part(Some(3)), Ok(DataPart { data: 0, padding: 3 }));
    assert_eq!(head(8, 0, 0, 1).data_part(None), Ok(DataPart { data: 8, padding: 0 }));
    let headers = |end_stream, end_headers| {
        Ok(Frame::Headers { stream: 1, end_stream, end_headers, fragment: bytes })
    };
    assert_eq!(parsed(1, 0x4, 1, b"word"), headers(false, true));
    assert_eq!(parsed(1, 0x9, 1, padded), headers(true, false));
    assert_eq!(parsed(1, 0x2c, 1, b"\x02\0\0\0\x01\xffword\0\0"), headers(false, true));
    // More of it than there is.
    let protocol = Some((Code::PROTOCOL_ERROR, 0));
    assert_eq!(wrong(parsed(0, 0x8, 1, b"\x04wor")), protocol);
    assert_eq!(wrong(head(4, 0, 0x8, 1).data_part(Some(4))), protocol);
    assert_eq!(wrong(parsed(1, 0x8, 1, b"\xff")), protocol);
    assert_eq!(wrong(parsed(1, 0x28, 1, b"\x01\0\0\0\x01\xff")), protocol);
}

#[test]
fn a_window_grows_by_something() {
    let update = |stream, increment: u32| wrong(parsed(8, 0, stream, &increment.to_be_bytes()));
    assert_eq!(update(0, 0), Some((Code::PROTOCOL_ERROR, 0)));
    assert_eq!(update(5, 0), Some((Code::PROTOCOL_ERROR, 5)));
    assert_eq!(update(5, 1 << 31), Some((Code::PROTOCOL_ERROR, 5)));
    let frame = parsed(8, 0, 5, &[0xff; 4]);
    assert_eq!(frame, Ok(Frame::WindowUpdate { stream: 5, increment: LARGEST }));
}

#[test]
fn settings_have_values_that_there_can_be() {
    let said = |pairs: &[(u16, u32)]| {
        let payload: Vec<u8> = pairs
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        Settings::parse(&payload)
    };
    for (id, value, code) in [
        (2, 2, Code::PROTOCOL_ERROR),
        (4, 1 << 31, Code::FLOW_CONTROL_ERROR),
        (5, (1 << 14) - 1, Code::PROTOCOL_ERROR),
        (5, 1 << 24, Code::PROTOCOL_ERROR),
        (8, 2, Code::PROTOCOL_ERROR),
    ] {
        assert_eq!(wrong(said(&[(id, value)])), Some((code, 0)), "{id}");
    }
    let all = said(&[(1, 0), (2, 0), (3, 7), (4, LARGEST), (5, FRAME_LARGEST), (6, 9), (8, 1)]);
    let expected = Settings {
        header_table_size: Some(0),
        enable_push: Some(false),
        max_concurrent_streams: Some(7),
        initial_window_size: Some(LARGEST),
        max_frame_size: Some(FRAME_LARGEST),
        max_header_list_size: Some(9),
        enable_connect_protocol: Some(true),
    };
    assert_eq!(all, Ok(expected));
    // Extensions are passed over; the last word counts, but of tables the smallest.
    let twice = said(&[(1, 100), (3, 1), (1, 0), (3, 2), (1, 200), (9, 1), (0xffff, 1)]);
    let expected = Settings {
        header_table_size: Some(0),
        max_concurrent_streams: Some(2),
        ..Settings::default()
    };
    assert_eq!(twice, Ok(expected));
    assert_eq!(wrong(Settings::parse(&[0; 7])), Some((Code::FRAME_SIZE_ERROR, 0)));
    let push = said(&[(2, 1)]).unwrap();
    assert_eq!(wrong(push.check_of_server()), Some((Code::PROTOCOL_ERROR, 0)));
}

#[test]
fn a_block_is_cut_into_frames_of_the_agreed_size() {
    for (length, frames) in [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (25, 3)] {
        let (block, mut out) = (vec![7; length], Vec::new());
        write::headers(3, &block, true, 10, &mut out);
        let (mut rest, mut seen, mut together) = (&out[..], 0, Vec::new());
        while let Some((head, more)) = rest.split_first_chunk() {
            let head = Head::parse(head);
            let (payload, more) = more.split_at(head.length as usize);
            rest = more;
            seen += 1;
            together.extend(payload);
            let (end_headers, fragment) = (frames == seen, payload);
            let expected = match seen {
                1 => Frame::Headers { stream: 3, end_stream: true, end_headers, fragment },
                _ => Frame::Continuation { stream: 3, end_headers, fragment },
            };
            assert_eq!(Frame::parse(head, payload), Ok(expected));
        }
        assert_eq!((seen, together), (frames, block));
    }
}

proptest! {
    #[test]
    fn the_laws_hold_for_any_bytes(bytes: Vec<u8>) {
        fuzz::frames(&bytes);
    }

    /// Frames that are more often right than those by chance.
    #[test]
    fn the_laws_hold_for_any_frames(
        frames in prop::collection::vec(
            (0..11_u8, any::<u8>(), 0..3_u32, prop::collection::vec(any::<u8>(), 0..20)), 0..8)
    ) {
        let mut bytes = Vec::new();
        for (kind, flags, stream, payload) in frames {
            bytes.extend(head(u32::try_from(payload.len()).unwrap(), kind, flags, stream).write());
            bytes.extend(payload);
        }
        fuzz::frames(&bytes);
    }
}

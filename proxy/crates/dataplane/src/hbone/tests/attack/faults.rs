//! What is wrong by the rules of RFC 9113, and how far its end reaches.
use super::*;

const REQUEST: &[(&str, &str)] = &[(":method", "CONNECT"), (":authority", "10.0.0.1:0")];

/// Frames after which a link has to end, while its stream 1 is open.
fn faults() -> Vec<(&'static str, Code, Vec<Vec<u8>>)> {
    let (protocol, size) = (Code::PROTOCOL_ERROR, Code::FRAME_SIZE_ERROR);
    let (flow, calm) = (Code::FLOW_CONTROL_ERROR, Code::ENHANCE_YOUR_CALM);
    let ping = || frame(6, 0, 0, b"anything");
    let begun = || frame(1, 0, 5, &block(REQUEST));
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let window = |value: u32| [&[0, 4][..], &value.to_be_bytes()].concat();
    vec![
        ("DATA of an idle stream", protocol, vec![frame(0, 0, 9, b"x")]),
        ("RST_STREAM of an idle stream", protocol, vec![frame(3, 0, 9, &[0, 0, 0, 8])]),
        ("WINDOW_UPDATE of an idle stream", protocol, vec![frame(8, 0, 9, &[0, 0, 0, 8])]),
        ("a stream of the server's", protocol, vec![frame(1, 0x5, 4, &block(REQUEST))]),
        ("a block that goes on from nothing", protocol, vec![frame(9, 0x4, 1, b"")]),
        ("PING within a block", protocol, vec![begun(), ping()]),
        ("DATA within a block", protocol, vec![begun(), frame(0, 0, 1, b"x")]),
        ("an unknown frame within a block", protocol, vec![begun(), frame(99, 0, 5, b"x")]),
        ("another block within a block", protocol, vec![begun(), frame(1, 0x5, 7, b"")]),
        ("a block that goes on elsewhere", protocol, vec![begun(), frame(9, 0x4, 1, b"")]),
        ("a block without an end", calm, {
            let mut frames = vec![begun()];
            frames.extend((0..100).map(|_| frame(9, 0, 5, b"")));
            frames
        }),
        ("a block too large", calm, vec![begun(), frame(9, 0x4, 5, &[0; 70_000])]),
        ("an index of nothing", Code::COMPRESSION_ERROR, vec![frame(1, 0x5, 5, b"\xff\x80\x01")]),
        (
            "what cannot be read of a stream that is over",
            Code::COMPRESSION_ERROR,
            vec![frame(3, 0, 1, &[0, 0, 0, 8]), frame(1, 0x5, 1, b"\x80")],
        ),
        ("the link's window beyond all", flow, vec![frame(8, 0, 0, &most)]),
        ("the link's window by nothing", protocol, vec![frame(8, 0, 0, &[0; 4])]),
        (
            "the streams' windows beyond all",
            flow,
            vec![
                frame(8, 0, 1, &(0x7fff_ffff_u32 - 65_535).to_be_bytes()),
                frame(4, 0, 0, &window(65_536)),
            ],
        ),
        ("a first window beyond all", flow, vec![frame(4, 0, 0, &window(1 << 31))]),
        ("a setting and a half", size, vec![frame(4, 0, 0, &[0; 9])]),
        ("an answer to settings with some", size, vec![frame(4, 0x1, 0, &[0; 6])]),
        ("a push", protocol, vec![frame(5, 0x4, 1, &[0, 0, 0, 2])]),
        ("a frame too large", size, vec![frame(0, 0, 1, &[0; (1 << 20) + 1])]),
        ("more padding than frame", protocol, vec![frame(0, 0x8, 1, &[5, 0, 0])]),
        ("settings of a stream", protocol, vec![frame(4, 0, 1, &[])]),
        ("data of no stream", protocol, vec![frame(0, 0, 0, b"x")]),
    ]
}

#[tokio::test]
async fn what_nobody_may_do_ends_the_link_and_says_why() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    for (what, code, frames) in faults() {
        let mut peer = Attacker::new(&mesh, &server).await;
        let _app = peer.open(1).await;
        for frame in frames {
            peer.said.out.extend(frame);
        }
        // It may be cut off in the middle of it.
        peer.said.try_send().await;
        assert_eq!(peer.heard.goodbye().await, code, "{what}");
    }
    lives(&mesh, &server).await;
}

#[tokio::test]
async fn whoever_does_not_begin_with_settings_is_sent_away() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    for first in [frame(6, 0, 0, b"anything"), frame(4, 0x1, 0, b""), frame(99, 0, 0, b"")] {
        let mut peer = Attacker::silent(&mesh, &server).await;
        peer.said.out.extend_from_slice(PREFACE);
        peer.said.out.extend(first);
        peer.said.send().await;
        assert_eq!(peer.heard.goodbye().await, Code::PROTOCOL_ERROR);
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_stream_ends_only_that() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::new(&mesh, &server).await;
    let mut good = peer.open(1).await;
    let (protocol, zero) = (Code::PROTOCOL_ERROR, [0; 4]);
    let after_the_end = [frame(0, 0x1, 0, b"x"), frame(0, 0, 0, b"y")];
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let second = frame(1, 0x4, 0, &block(REQUEST));
    let odd_trailers = frame(1, 0x5, 0, &block(&[(":status", "200")]));
    let faults = [
        ("a window by nothing", protocol, vec![frame(8, 0, 0, &zero)]),
        ("a window beyond all", Code::FLOW_CONTROL_ERROR, vec![frame(8, 0, 0, &most)]),
        ("data after the end", Code::STREAM_CLOSED, after_the_end.to_vec()),
        ("a second request", protocol, vec![second]),
        ("trailers that are a head", protocol, vec![odd_trailers]),
    ];
    for ((what, code, frames), stream) in faults.into_iter().zip((3_u32..).step_by(2)) {
        let _app = peer.open(stream).await;
        for mut frame in frames {
            frame[5..9].copy_from_slice(&stream.to_be_bytes());
            peer.said.out.extend(frame);
        }
        peer.said.send().await;
        assert_eq!(peer.heard.reset_of(stream).await, code, "{what}");
        peer.carries(1, &mut good).await;
    }
}

#[tokio::test]
async fn a_malformed_request_is_reset_and_spoils_nothing() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::new(&mesh, &server).await;
    let (long, more) = ("y".repeat(60_000), "y".repeat(5_500));
    let (protocol, calm) = (Code::PROTOCOL_ERROR, Code::ENHANCE_YOUR_CALM);
    let with = |more: (&'static str, &str)| {
        let [method, to] = REQUEST else { unreachable!("two headers") };
        block(&[*method, *to, more])
    };
    let mut requests = vec![
        (protocol, with(("Upper", "case"))),
        (protocol, with(("connection", "close"))),
        (protocol, with((":path", "/"))),
        (protocol, with((":method", "CONNECT"))),
        (protocol, block(&[(":authority", "10.0.0.1:80")])),
    ];
    // Longer than is taken only when it is unpacked.
    let mut bomb = vec![0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
    bomb.extend([b'y'; 4000]);
    bomb.extend([0xbe; 1000]);
    requests.push((calm, bomb));
    requests.push((calm, block(&[("x", &long), ("y", &more)])));
    let mut stream = 1;
    for (code, block) in requests {
        write::headers(stream, &block, false, 1 << 14, &mut peer.said.out);
        peer.said.send().await;
        assert_eq!(peer.heard.reset_of(stream).await, code, "{stream}");
        stream += 2;
    }
    let mut app = peer.open(stream).await;
    peer.carries(stream, &mut app).await;
}

#[tokio::test]
async fn an_authority_of_any_bytes_is_answered_with_400() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::new(&mesh, &server).await;
    let odd = ["", "a b:80", "user@cart:80", "cart/path:80", "]:[", "%zz:80", "caf\u{e9}:80"];
    for (authority, stream) in odd.into_iter().zip((1..).step_by(2)) {
        let block = block(&[(":method", "CONNECT"), (":authority", authority)]);
        write::headers(stream, &block, false, 1 << 14, &mut peer.said.out);
        peer.said.send().await;
        assert_eq!(peer.heard.status_of(stream).await, StatusCode::BAD_REQUEST, "{authority}");
        assert_eq!(peer.heard.reset_of(stream).await, Code::NO_ERROR);
    }
}

#[tokio::test]
async fn frames_of_streams_that_are_over_are_passed_over() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::new(&mesh, &server).await;
    let mut good = peer.open(1).await;
    let gone = peer.open(3).await;
    peer.said.frame(3, 0, 3, &[0, 0, 0, 8]);
    peer.said.data(3, b"late", true);
    peer.said.frame(8, 0, 3, &[0, 0, 0, 8]);
    peer.said.frame(3, 0, 3, &[0, 0, 0, 8]);
    peer.said.frame(2, 0, 3, &[0, 0, 0, 0, 7]);
    peer.said.frame(1, 0x5, 3, &block(&[("late", "too")]));
    peer.carries(1, &mut good).await;
    drop(gone);
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let mesh = Mesh::new();
    let server = mesh.server_with(never_answer).await;
    let mut peer = Attacker::new(&mesh, &server).await;
    for stream in (1..).step_by(2).take(201) {
        peer.said.ask(stream, server.addr, false);
    }
    peer.said.send().await;
    assert_eq!(peer.heard.reset_of(401).await, Code::REFUSED_STREAM);
    // One that ends makes room for another.
    peer.said.frame(3, 0, 1, &[0, 0, 0, 8]);
    peer.said.ask(403, server.addr, false);
    peer.said.frame(6, 0, 0, b"barrier!");
    peer.said.send().await;
    let heard = peer.heard.until(|seen| {
        assert!(!matches!(seen, Seen::Reset(..)), "{seen:?}");
        matches!(seen, Seen::Pong(_)).then_some(())
    });
    heard.await;
}

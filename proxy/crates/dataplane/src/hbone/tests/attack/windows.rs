//! What peers make of windows.
use super::*;
use crate::hbone::settings::{LINK_WINDOW, STREAM_WINDOW};
use std::cell::Cell;

fn first_window(size: u32) -> Settings {
    Settings { initial_window_size: Some(size), ..Settings::default() }
}

impl Attacker {
    /// Whatever was to come has come: none of it was data of the stream.
    async fn nothing_comes(&mut self, id: u32) {
        self.said.frame(6, 0, 0, b"barrier!");
        self.said.send().await;
        let heard = self.heard.until(|seen| {
            if let Seen::Data(stream, ..) = seen {
                assert_ne!(*stream, id, "it may not send");
            }
            matches!(seen, Seen::Pong(_)).then_some(())
        });
        heard.await;
    }

    async fn widen(&mut self, stream: u32, by: u32) {
        write::window_update(stream, by, &mut self.said.out);
        self.said.send().await;
    }

    /// So much comes of a stream, and no more.
    async fn comes(&mut self, stream: u32, count: usize) {
        let mut all = 0;
        while all < count {
            all += self.heard.data_of(stream).await.0.len();
        }
        assert_eq!(all, count);
        self.nothing_comes(stream).await;
    }
}

#[tokio::test]
async fn a_closed_window_is_kept_to_and_opened_byte_by_byte() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::with(&mesh, &server, first_window(0)).await;
    let mut app = peer.open(1).await;
    app.write_all(b"a few words").await.unwrap();
    peer.nothing_comes(1).await;
    for _ in 0..11 {
        peer.widen(1, 1).await;
        peer.comes(1, 1).await;
    }
    app.shutdown().await.unwrap();
    // Whether there is more is known once there may be.
    peer.widen(1, 1).await;
    assert_eq!(peer.heard.data_of(1).await, (Vec::new(), true));
}

#[tokio::test]
async fn a_window_can_be_less_than_nothing() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::with(&mesh, &server, first_window(1000)).await;
    let mut app = peer.open(1).await;
    app.write_all(&[7; 2000]).await.unwrap();
    peer.comes(1, 1000).await;
    write::settings(&first_window(0), &mut peer.said.out);
    peer.widen(1, 1000).await;
    peer.nothing_comes(1).await;
    peer.widen(1, 10).await;
    peer.comes(1, 10).await;
    write::settings(&first_window(1000), &mut peer.said.out);
    peer.said.send().await;
    peer.comes(1, 990).await;
}

#[tokio::test]
async fn the_windows_of_the_link_and_of_streams_both_bound() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::with(&mesh, &server, first_window(1 << 20)).await;
    let mut one = peer.open(1).await;
    let mut other = peer.open(3).await;
    let write = tokio::join!(one.write_all(&[1; 100_000]), other.write_all(&[2; 10_000]));
    assert!(write.0.is_ok() && write.1.is_ok());
    // All that the link lets through is 65,535 bytes, of whichever.
    let mut came = [0; 2];
    peer.heard.both(&mut came, 65_535).await;
    assert_eq!(came[0] + came[1], 65_535);
    peer.nothing_comes(1).await;
    peer.widen(0, 1 << 20).await;
    peer.heard.both(&mut came, 110_000).await;
    assert_eq!(came, [100_000, 10_000]);
}

#[tokio::test]
async fn more_than_the_window_of_a_stream_ends_it_and_no_other() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::new(&mesh, &server).await;
    let mut good = peer.open(1).await;
    let _stuck = peer.open(3).await;
    // What its sockets hold passes, then the window's worth waits.
    let Attacker { said, heard } = &mut peer;
    let (block, refused) = (vec![0; 16 << 10], Cell::new(false));
    let push = async {
        let mut sent = 0;
        while !refused.get() {
            assert!(sent < 64 << 20, "taken of an application that reads nothing");
            said.data(3, &block, false);
            said.send().await;
            sent += block.len();
        }
    };
    let hear = async {
        assert_eq!(heard.reset_of(3).await, Code::FLOW_CONTROL_ERROR);
        refused.set(true);
    };
    tokio::join!(push, hear);
    peer.carries(1, &mut good).await;
}

/// Sixteen padded frames.
const FOUR_KB: u32 = 16 * 256;

#[tokio::test]
async fn padding_counts_and_is_given_back() {
    let mesh = Mesh::new();
    let server = mesh.server().await;
    let mut peer = Attacker::new(&mesh, &server).await;
    let mut app = peer.open(1).await;
    // 40 MB, of which one byte in 256 is for the application.
    let mut payload = vec![254_u8, b'x'];
    payload.extend([0; 254]);
    let Attacker { said, heard } = &mut peer;
    let (mut allowed, mut sent) = ([LINK_WINDOW, STREAM_WINDOW], 0);
    while sent < 160_000 {
        while allowed.iter().all(|window| FOUR_KB <= *window) && sent < 160_000 {
            for _ in 0..16 {
                said.frame(0, 0x8, 1, &payload);
            }
            sent += 16;
            allowed = allowed.map(|window| window - FOUR_KB);
            said.send().await;
        }
        if sent < 160_000 {
            let more = heard.grants().await;
            allowed = [allowed[0] + more[0], allowed[1] + more[1]];
        }
    }
    let mut all = vec![0; 160_000];
    app.read_exact(&mut all).await.unwrap();
    assert!(all.iter().all(|byte| *byte == b'x'));
}

impl Heard {
    /// Counts what comes of the streams 1 and 3 until it is so much.
    async fn both(&mut self, came: &mut [usize; 2], all: usize) {
        while came.iter().sum::<usize>() < all {
            let seen = self.next().await;
            assert!(!matches!(seen, Seen::Gone), "the link was closed");
            if let Seen::Data(stream @ (1 | 3), bytes, _) = seen {
                came[usize::from(stream == 3)] += bytes.len();
            }
        }
    }

    /// What may be sent in addition: on the link, and on stream 1.
    async fn grants(&mut self) -> [u32; 2] {
        let mut head = [0; HEAD];
        self.io.read_exact(&mut head).await.unwrap();
        let head = Head::parse(&head);
        let mut payload = vec![0; head.length as usize];
        self.io.read_exact(&mut payload).await.unwrap();
        match Frame::parse(head, &payload).unwrap() {
            Frame::WindowUpdate { stream: 0, increment } => [increment, 0],
            Frame::WindowUpdate { increment, .. } => [0, increment],
            Frame::Reset { code, .. } | Frame::GoAway { code, .. } => panic!("{code}"),
            Frame::Data { .. }
            | Frame::Headers { .. }
            | Frame::Continuation { .. }
            | Frame::Settings(_)
            | Frame::SettingsAck
            | Frame::Ping(_)
            | Frame::Pong(_)
            | Frame::Ignored => [0, 0],
        }
    }
}

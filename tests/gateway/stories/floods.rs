//! HTTP/2 peers that do harm: they get nothing by it, and whoever else is connected notices nothing.
use super::stage::{Stage, peer};
use crate::{
    case::{Ask, Protocol},
    client::Client,
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frames of each kind that a flood has.
const MANY: usize = 100_000;

/// More memory than this may no flood take.
const GROWTH_KB: u64 = 150_000;

/// Type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// `GET / http` for the host `a`, as HPACK's static table writes it.
const HEADERS: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

fn odd(at: usize) -> u32 {
    u32::try_from(at).unwrap() * 2 + 1
}

pub(super) fn rapid_reset() {
    flood("rapid_reset", |at| {
        let mut bytes = frame(1, END_HEADERS | END_STREAM, odd(at), HEADERS);
        bytes.extend(frame(3, 0, odd(at), &8_u32.to_be_bytes()));
        bytes
    });
}

pub(super) fn continuation() {
    // A literal header, without an index: `a: b`.
    let field = [0x00, 0x01, b'a', 0x01, b'b'].repeat(200);
    flood("continuation", move |at| match at {
        0 => frame(1, 0, 1, HEADERS),
        _ => frame(9, 0, 1, &field),
    });
}

pub(super) fn settings() {
    flood("settings", |_| frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]));
}

pub(super) fn ping() {
    flood("ping", |_| frame(6, 0, 0, &[0; 8]));
}

pub(super) fn empty_data() {
    flood("empty_data", |at| match at {
        0 => frame(1, END_HEADERS, 1, &[0x83, 0x86, 0x84, 0x41, 0x01, b'a']),
        _ => frame(0, 0, 1, &[]),
    });
}

/// Sends frames and reads nothing, while somebody else asks all the time.
fn flood(name: &str, frames: impl Fn(usize) -> Vec<u8>) {
    let stage = Stage::start(&format!("flood_{name}"), "{}");
    let done = Arc::new(AtomicBool::new(false));
    let (asks, asked) = mpsc::channel();
    let others = stage.runtime.spawn(ask_until(stage.client(), Arc::clone(&done), asks));
    asked.recv().expect("somebody else is answered before the flood");
    let before = stage.memory();
    for _ in 0..2 {
        attack(&stage, &frames);
    }
    let grown = stage.memory().saturating_sub(before);
    done.store(true, Ordering::Release);
    stage.runtime.block_on(others).unwrap();
    assert!(grown < GROWTH_KB, "memory has grown by {grown} kB");
    let after = stage.runtime.block_on(stage.client().ask(&get(Protocol::H2)));
    assert_eq!(after["line"], "HTTP/2 200", "{after}");
}

fn attack(stage: &Stage, frames: &impl Fn(usize) -> Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", stage.port("l"))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for at in 0..MANY {
        bytes.extend(frames(at));
        // Whoever does not take any more has protected itself, and so has who closes.
        if bytes.len() > 16_384 && stream.write_all(&std::mem::take(&mut bytes)).is_err() {
            break;
        }
    }
    drop(stream.write_all(&bytes));
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut rest = [0; 65_536];
    while stream.read(&mut rest).is_ok_and(|n| n > 0) {}
}

/// Asks on the same two connections until it is `done`, and once after that.
async fn ask_until(mut client: Client, done: Arc<AtomicBool>, asks: mpsc::Sender<()>) {
    loop {
        let last = done.load(Ordering::Acquire);
        for protocol in [Protocol::H1, Protocol::H2] {
            let answer = client.ask(&get(protocol)).await;
            let line = answer["line"].as_str().unwrap_or_default();
            assert!(line.ends_with(" 200") || line.ends_with(" 200 OK"), "{answer}");
        }
        // Only the first time is waited for.
        let _nobody_listens = asks.send(());
        if last {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn get(protocol: Protocol) -> Ask {
    let connection = Some(format!("{protocol:?}"));
    Ask { get: Some("/".into()), protocol, connection, ..Ask::default() }
}

impl Stage {
    fn client(&self) -> Client {
        Client::new(self.scene.ports.named().clone(), self.scene.certificates.clone())
    }

    /// Kilobytes that are the proxy's own.
    pub(super) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Cases of h2spec in which the HTTP library, or Envoy too, differs.
const DIFFERING: usize = 2;

pub(super) fn h2spec() {
    let stage = Stage::start("h2spec", "{}");
    let mut command = Command::new(peer("bin/h2spec"));
    command.args(["-h", "127.0.0.1", "-p", &stage.port("l").to_string(), "-o", "3"]);
    let said = command.output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = said.lines().rev().find(|line| line.contains(" tests, ")).unwrap_or_default();
    let number = |what: &str| -> Option<usize> {
        let part = line.split(", ").find(|part| part.ends_with(what))?;
        part.split(' ').next()?.parse().ok()
    };
    let (passed, failed) = (number("passed").unwrap_or(0), number("failed").unwrap_or(999));
    println!("h2spec: {line}");
    assert!(passed > 130 && failed <= DIFFERING, "{said}");
}

//! Many bytes, each of them checked, and connections of which one half ends first.
//!
//! The stream is made of blocks of 64 KiB that differ in their first eight bytes, their number; a
//! lost, doubled, swapped or changed byte is found where it is.
use crate::{failure, plain, say, sockets};
use serde_json::{Value, json};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

const BLOCK: usize = 64 * 1024;

/// A server that reads to the end, then answers with what it got.
pub(crate) fn sink(mut stream: &TcpStream) -> io::Result<Value> {
    let got = check(stream)?;
    writeln!(stream, "{got}")?;
    stream.shutdown(Shutdown::Write)?;
    Ok(json!({"ok": true, "bytes": got}))
}

/// A server that sends and ends its side, then reads to the end.
pub(crate) fn source(stream: &TcpStream, bytes: u64) -> io::Result<Value> {
    send(stream, bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let got = check(stream)?;
    Ok(json!({"ok": true, "bytes": got}))
}

/// Sends and ends its side; the answer comes only after that.
pub(crate) fn half_close(to: SocketAddr, bytes: u64) -> io::Result<()> {
    report(to, |mut stream| {
        send(stream, bytes)?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(json!({"ok": answer.trim() == bytes.to_string(), "answer": answer.trim()}))
    })
}

/// Reads to the end and only then sends: its own side is still open.
pub(crate) fn outlive(to: SocketAddr, bytes: u64) -> io::Result<()> {
    report(to, |stream| {
        let got = check(stream)?;
        send(stream, bytes)?;
        stream.shutdown(Shutdown::Write)?;
        Ok(json!({"ok": true, "bytes": got}))
    })
}

pub(crate) fn upload(to: SocketAddr, bytes: u64) -> io::Result<()> {
    half_close(to, bytes)
}

pub(crate) fn download(to: SocketAddr, bytes: u64) -> io::Result<()> {
    report(to, |stream| {
        stream.shutdown(Shutdown::Write)?;
        let got = check(stream)?;
        Ok(json!({"ok": got == bytes, "bytes": got}))
    })
}

fn report(to: SocketAddr, talk: impl Fn(&TcpStream) -> io::Result<Value>) -> io::Result<()> {
    say(&match sockets::plain(to) {
        Ok(stream) => talk(&stream)
            .map(|mut said| {
                said["local"] = json!(stream.local_addr().map(plain).ok());
                said
            })
            .unwrap_or_else(|e| failure("talk", &e)),
        Err(error) => failure("connect", &error),
    });
    Ok(())
}

fn send(mut stream: &TcpStream, bytes: u64) -> io::Result<()> {
    let mut block = pattern();
    let (mut number, mut left) = (0_u64, bytes);
    while left > 0 {
        set_number(&mut block, number);
        let now = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        stream.write_all(block.get(..now).unwrap_or_default())?;
        left -= now as u64;
        number += 1;
    }
    Ok(())
}

/// Reads to the end; how many bytes that were, all of them right.
fn check(stream: &TcpStream) -> io::Result<u64> {
    let (mut expected, mut block) = (pattern(), Vec::with_capacity(BLOCK));
    let (mut number, mut bytes) = (0_u64, 0);
    loop {
        block.clear();
        stream.take(BLOCK as u64).read_to_end(&mut block)?;
        set_number(&mut expected, number);
        if expected.get(..block.len()) != Some(block.as_slice()) {
            return Err(io::Error::other(format!("block {number} is not what was sent")));
        }
        bytes += block.len() as u64;
        number += 1;
        if block.len() < BLOCK {
            return Ok(bytes);
        }
    }
}

/// Bytes without a short period (Marsaglia's xorshift).
fn pattern() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut words = Vec::with_capacity(BLOCK);
    while words.len() < BLOCK {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        words.extend(state.to_le_bytes());
    }
    words
}

fn set_number(block: &mut [u8], number: u64) {
    if let Some(first) = block.get_mut(..8) {
        first.copy_from_slice(&number.to_le_bytes());
    }
}

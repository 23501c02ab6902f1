//! Many connections: one after another, all at once, and so many in each second.
use crate::{failure, say, sockets};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// After that a request counts as failed; longer than anything a test expects to wait out.
const PATIENCE: Duration = Duration::from_secs(8);
const STACK: usize = 128 * 1024;

/// How many went well, and how the others failed.
#[derive(Debug, Default)]
struct Tally {
    done: u64,
    failed: BTreeMap<String, u64>,
    slowest: Duration,
}

impl Tally {
    fn add(&mut self, result: io::Result<Duration>) {
        match result {
            Ok(took) => {
                self.done += 1;
                self.slowest = self.slowest.max(took);
            }
            Err(error) => *self.failed.entry(format!("{:?}", error.kind())).or_default() += 1,
        }
    }

    fn report(&self) -> Value {
        json!({
            "ok": self.failed.is_empty(),
            "done": self.done,
            "failed": self.failed.values().sum::<u64>(),
            "errors": self.failed,
            "slowest_ms": u64::try_from(self.slowest.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// Short connections to a greeting server, one after another.
pub(crate) fn many(to: SocketAddr, times: u64) -> io::Result<()> {
    let mut tally = Tally::default();
    for _ in 0..times {
        tally.add(timed(|| sockets::plain(to).and_then(greeted).map(drop)));
    }
    say(&tally.report());
    Ok(())
}

/// Connections that do nothing, as many as can be had; each line of standard input has every one of them echo a ping.
pub(crate) fn idle(to: SocketAddr, times: u64) -> io::Result<()> {
    hold_all(times, |_| sockets::plain(to))
}

/// The same, from ports counted up from `port`.
pub(crate) fn idle_from(to: SocketAddr, times: u64, port: u64) -> io::Result<()> {
    let any = if to.is_ipv4() {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    hold_all(times, |n| {
        let port = u16::try_from(port + n).map_err(io::Error::other)?;
        sockets::bound(to, SocketAddr::new(any, port))
    })
}

fn hold_all(times: u64, connect: impl Fn(u64) -> io::Result<TcpStream>) -> io::Result<()> {
    let mut streams = Vec::new();
    let mut said = json!({"ok": true});
    for n in 0..times {
        match connect(n).and_then(greeted) {
            Ok(stream) => streams.push(stream),
            Err(error) => {
                said = failure("connect", &error);
                break;
            }
        }
    }
    said["open"] = json!(streams.len());
    say(&said);
    for line in io::stdin().lines() {
        line?;
        let mut tally = Tally::default();
        for stream in &streams {
            tally.add(timed(|| ping(stream)));
        }
        say(&tally.report());
    }
    Ok(())
}

/// One connection to a greeting server; each line of standard input has it echo a ping.
pub(crate) fn hold(to: SocketAddr) -> io::Result<()> {
    idle(to, 1)
}

/// HTTP requests on connections of their own, evenly spaced, until standard input ends.
pub(crate) fn steady(to: SocketAddr, rate: u64) -> io::Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    thread::spawn(move || {
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        end.store(true, Ordering::Relaxed);
    });
    let tally = Arc::new(Mutex::new(Tally::default()));
    let step = Duration::from_nanos(1_000_000_000 / rate.max(1));
    let mut next = Instant::now();
    say(&json!({"ok": true, "loading": to}));
    let mut requests = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let tally = Arc::clone(&tally);
        // A request that hangs must not slow down the others.
        requests.push(thread::Builder::new().stack_size(STACK).spawn(move || {
            let result = timed(|| request(to));
            tally.lock().expect("no one panics with the tally").add(result);
        })?);
        requests.retain(|request| !request.is_finished());
        next += step;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    for request in requests {
        if request.join().is_err() {
            return Err(io::Error::other("a request panicked"));
        }
    }
    say(&tally.lock().expect("no one panics with the tally").report());
    Ok(())
}

fn timed(work: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let begun = Instant::now();
    work().map(|()| begun.elapsed())
}

fn request(to: SocketAddr) -> io::Result<()> {
    let mut stream = sockets::plain(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\n") {
        return Ok(());
    }
    // Ended in the middle, or before the first byte.
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Reads the greeting.
fn greeted(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut greeting = String::new();
    if BufReader::with_capacity(128, &stream).read_line(&mut greeting)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(stream)
}

fn ping(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"ping\n")?;
    let mut echo = [0; 5];
    stream.read_exact(&mut echo)
}

//! The parts that this program plays inside a pod: it is started again there.
//!
//! A part says `ready` on its output when others may begin, and ends when its input does.
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use socket2::{Domain, SockRef, Socket, Type};

use crate::{ask::Ask, grpc, town::now};

/// A multicast address: `connect(2)` runs every hook, asks for the route, and is refused.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)), 9);

/// How much is written at a time.
const CHUNK: usize = 64 * 1024;

/// Requests and answers are as long as each other.
const REQUEST: usize = 1024;

/// How long an answer is waited for while there may be nobody to answer, and how soon the next
/// connection follows.
const ASKED: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_micros(200);

/// A part to play.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Prints nanoseconds per connect(2) that is refused before a packet is made.
    Refused {
        #[arg(long)]
        count: u32,
    },
    /// Prints nanoseconds per connection to this address: connect, one byte back, close.
    Connections {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        count: u32,
    },
    /// Prints the middle of the nanoseconds that requests of a kilobyte take on one connection.
    Requests {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        count: usize,
    },
    /// Returns every byte.
    Echo {
        #[arg(long)]
        at: SocketAddr,
    },
    /// Answers one byte on each connection, then reads until its end.
    Serve {
        #[arg(long)]
        at: SocketAddr,
        #[arg(long, default_value_t = '.')]
        answer: char,
    },
    /// Whenever told to go on, connects until another server answers than the last time, and
    /// prints when that was, in seconds since 1970.
    Turns {
        #[arg(long)]
        to: SocketAddr,
    },
    /// Opens connections, when told so sends this much through each, and keeps them open.
    Hold {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        count: usize,
        #[arg(long, default_value_t = 0)]
        mebibytes: usize,
        /// Asks for something by HTTP first.
        #[arg(long)]
        http: bool,
    },
    /// Asks by HTTP/1.1.
    Ask(Ask),
    /// Answers gRPC.
    Grpc {
        #[arg(long)]
        at: SocketAddr,
    },
}

impl Role {
    /// Plays the part.
    pub(crate) fn play(&self) -> Result<()> {
        match *self {
            Self::Ask(ref ask) => ask.play(),
            Self::Grpc { at } => grpc::serve(at),
            Self::Refused { count } => refused(count),
            Self::Connections { to, count } => connections(to, count),
            Self::Requests { to, count } => requests(to, count),
            Self::Echo { at } => listen(at, echo),
            Self::Serve { at, answer } => listen(at, move |stream| serve(stream, answer)),
            Self::Turns { to } => turns(to),
            Self::Hold { to, count, mebibytes, http } => hold(to, count, mebibytes, http),
        }
    }
}

fn refused(count: u32) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let start = Instant::now();
    for _ in 0..count {
        ensure!(socket.connect(&NOWHERE.into()).is_err(), "connected to a multicast address");
    }
    say(&per(start, count))
}

fn connections(to: SocketAddr, count: u32) -> Result<()> {
    let start = Instant::now();
    for _ in 0..count {
        let mut stream = TcpStream::connect(to)?;
        stream.read_exact(&mut [0])?;
    }
    say(&per(start, count))
}

fn per(start: Instant, count: u32) -> String {
    format!("{}", start.elapsed().as_nanos() / u128::from(count))
}

fn requests(to: SocketAddr, count: usize) -> Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let (request, mut answer) = ([0x5a; REQUEST], [0; REQUEST]);
    let mut took = Vec::with_capacity(count);
    // The first ones find everything cold.
    for round in 0..count + count / 10 {
        let start = Instant::now();
        stream.write_all(&request)?;
        stream.read_exact(&mut answer)?;
        if round >= count / 10 {
            took.push(start.elapsed().as_nanos());
        }
    }
    took.sort_unstable();
    let middle = took.get(took.len() / 2).context("no requests")?;
    say(&middle.to_string())
}

fn listen<F>(at: SocketAddr, serve: F) -> Result<()>
where
    F: FnOnce(TcpStream) -> io::Result<u64> + Copy + Send + 'static,
{
    let listener = TcpListener::bind(at).with_context(|| at.to_string())?;
    say("ready")?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::Builder::new().stack_size(64 * 1024).spawn(move || serve(stream))?;
    }
    Ok(())
}

fn serve(mut stream: TcpStream, answer: char) -> io::Result<u64> {
    stream.write_all(answer.to_string().as_bytes())?;
    io::copy(&mut stream, &mut io::sink())
}

fn echo(mut stream: TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    let mut bytes = [0; REQUEST];
    let mut moved = 0;
    loop {
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Ok(moved);
        }
        stream.write_all(bytes.get(..read).unwrap_or_default())?;
        moved += 1;
    }
}

fn hold(to: SocketAddr, count: usize, mebibytes: usize, http: bool) -> Result<()> {
    let chunk = vec![0x5a; CHUNK];
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(to)?;
        if http {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        }
        stream.read_exact(&mut [0])?;
        held.push(stream);
    }
    say("ready")?;
    io::stdin().read_line(&mut String::new())?;
    for stream in &mut held {
        for _ in 0..mebibytes * (1024 * 1024 / CHUNK) {
            stream.write_all(&chunk)?;
        }
    }
    say("sent")?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn turns(to: SocketAddr) -> Result<()> {
    let mut last = None;
    for _ in io::stdin().lines() {
        loop {
            // Until a proxy is there it fails in any way there is.
            if let Ok(answer) = asked(to)
                && last != Some(answer)
            {
                last = Some(answer);
                break;
            }
            thread::sleep(PAUSE);
        }
        say(&now()?.to_string())?;
    }
    Ok(())
}

/// The first byte of a new connection, which leaves no port in use.
fn asked(to: SocketAddr) -> io::Result<u8> {
    let mut stream = TcpStream::connect_timeout(&to, ASKED)?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.set_read_timeout(Some(ASKED))?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    let [answer] = answer;
    Ok(answer)
}

pub(crate) fn say(line: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

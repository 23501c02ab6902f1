//! What runs inside the pods of a test: servers of each manner, clients with each kind of socket.
//!
//! ```text
//! peer serve MANNER ADDRESS [BYTES]     until killed; says where it listens, then each connection
//! peer relay ADDRESS [NEXT…]            HTTP until killed; asks each of the next ones before it answers
//! peer book NAME ADDRESS [NEXT…]        HTTP until killed; says its name, and what the next ones said
//! peer ask SERVER PATH TIMES [HEADER…]  requests of HTTP on one connection; who answered how
//! peer dial KIND ADDRESS [MORE]         one connection to a greeting server
//! peer get ADDRESS PATH [HEADER…]       one request of HTTP
//! peer raw-syn SOURCE ADDRESS           one SYN without a socket behind it
//! peer half-close ADDRESS BYTES         sends, ends its side, then reads (server: sink)
//! peer outlive ADDRESS BYTES            reads to the end, then sends (server: source)
//! peer upload|download ADDRESS BYTES    bulk, checked byte by byte (server: sink, source)
//! peer abort ADDRESS                    sends a little, then resets
//! peer many ADDRESS COUNT               short connections one after another
//! peer idle ADDRESS COUNT               connections at once; asks each on a line of standard input
//! peer idle-from ADDRESS COUNT PORT     the same from ports counted up from PORT
//! peer load ADDRESS RATE                requests per second until standard input ends
//! peer hold ADDRESS                     one connection; echoes once per line of standard input
//! peer watch ADDRESS                    the same, and says when it is ended by somebody
//! peer tell ADDRESS TEXT                sends text and reads it back (server: echo)
//! peer silent|slow|garbage ADDRESS COUNT  connections that never say a right word, until ended
//! peer sniff TEXT                       every packet of the namespace, until standard input ends
//! ```
//!
//! Everything is said in lines of JSON on standard output.
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::{
    env,
    io::{self, Write as _},
    net::{SocketAddr, ToSocketAddrs as _},
    process::ExitCode,
};

mod ask;
mod book;
mod bulk;
mod dial;
mod get;
mod load;
mod message;
mod relay;
mod serve;
mod sniff;
mod sockets;
mod strange;
mod syn;
mod watch;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let Err(error) = more_descriptors() {
        say(&failure("limit", &error));
    }
    let done = match args.as_slice() {
        ["serve", manner, at, more @ ..] => address(at).and_then(|at| serve::run(manner, at, more)),
        ["relay", at, next @ ..] => address(at).and_then(|at| relay::run(at, next)),
        ["book", name, at, next @ ..] => address(at).and_then(|at| book::run(name, at, next)),
        ["ask", to, path, times, headers @ ..] => {
            count(times).and_then(|times| ask::run(to, path, times, headers))
        }
        ["dial", kind, to, more @ ..] => address(to).and_then(|to| dial::run(kind, to, more)),
        ["get", to, path, headers @ ..] => address(to).and_then(|to| get::run(to, path, headers)),
        ["raw-syn", from, to] => address(to).and_then(|to| syn::run(&address(from)?, &to)),
        ["half-close", to, bytes] => address(to).and_then(|to| bulk::half_close(to, count(bytes)?)),
        ["outlive", to, bytes] => address(to).and_then(|to| bulk::outlive(to, count(bytes)?)),
        ["upload", to, bytes] => address(to).and_then(|to| bulk::upload(to, count(bytes)?)),
        ["download", to, bytes] => address(to).and_then(|to| bulk::download(to, count(bytes)?)),
        ["abort", to] => address(to).and_then(dial::abort),
        ["many", to, times] => address(to).and_then(|to| load::many(to, count(times)?)),
        ["idle", to, times] => address(to).and_then(|to| load::idle(to, count(times)?)),
        ["load", to, rate] => address(to).and_then(|to| load::steady(to, count(rate)?)),
        ["idle-from", to, times, port] => {
            address(to).and_then(|to| load::idle_from(to, count(times)?, count(port)?))
        }
        ["tell", to, text] => address(to).and_then(|to| dial::tell(to, text)),
        ["silent", to, times] => strange(strange::Manner::Silent, to, times),
        ["slow", to, times] => strange(strange::Manner::Slow, to, times),
        ["garbage", to, times] => strange(strange::Manner::Garbage, to, times),
        ["sniff", text] => sniff::run(text),
        ["watch", to] => address(to).and_then(watch::run),
        ["hold", to] => address(to).and_then(load::hold),
        _ => Err(io::Error::other(format!("no such use: {args:?}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&failure("peer", &error));
            ExitCode::FAILURE
        }
    }
}

fn strange(manner: strange::Manner, to: &str, times: &str) -> io::Result<()> {
    strange::run(manner, address(to)?, count(times)?)
}

/// Thousands of connections at once need more than a login usually has.
fn more_descriptors() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// One line, seen at once.
pub(crate) fn say(what: &Value) {
    // Nobody listening any more is no failure of the peer's.
    drop(writeln!(io::stdout().lock(), "{what}"));
}

/// What went wrong in a form that a test can compare.
pub(crate) fn failure(stage: &str, error: &io::Error) -> Value {
    json!({
        "ok": false,
        "stage": stage,
        "error": format!("{:?}", error.kind()),
        "errno": error.raw_os_error(),
        "text": error.to_string(),
    })
}

/// An address, also of a name (`cart:80`).
pub(crate) fn address(text: &str) -> io::Result<SocketAddr> {
    let found = text.to_socket_addrs();
    let found = found.map_err(|error| io::Error::other(format!("{text:?}: {error}")))?.next();
    found.ok_or_else(|| io::Error::other(format!("{text:?} has no address")))
}

pub(crate) fn count(text: &str) -> io::Result<u64> {
    text.parse().map_err(|error| io::Error::other(format!("{text:?}: {error}")))
}

/// An address without the v4-in-v6 disguise that a dual-stack socket gives it.
pub(crate) fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

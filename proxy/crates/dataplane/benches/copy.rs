//! What copying costs: CPU time per GB, of the proxying thread and of both ends with it, for each
//! largest buffer and for splice(2), interleaved; and how long a request beside a bulk stream waits.
//!
//! `cargo bench -p culvert-dataplane [-- ROUNDS]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it prints, and a failure ends it"
)]
use culvert_dataplane::copy::{Bounds, Ended, Grade, copy};
use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{io::Interest, net};

/// Per stream and round.
const TOTAL: usize = 1 << 30;
const PIPE: i32 = 1 << 20;

/// What is measured.
#[derive(Clone, Copy)]
enum Way {
    Copy(Grade),
    Splice,
}

/// One round of one way.
#[derive(Clone, Copy)]
struct Sample {
    /// Of the proxying thread, in seconds.
    cpu_per_gb: f64,
    /// Of the sender, the proxy and the receiver.
    all_per_gb: f64,
    gbit_per_s: f64,
}

const WAYS: [(&str, Way); 5] = [
    ("copy, 8 KiB", Way::Copy(Grade::Small)),
    ("copy, up to 64 KiB", Way::Copy(Grade::Medium)),
    ("copy, up to 256 KiB", Way::Copy(Grade::Large)),
    ("copy, up to 1 MiB", Way::Copy(Grade::Huge)),
    ("splice, pipe of 1 MiB", Way::Splice),
];

fn main() {
    let rounds = env::args().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    for streams in [1, 4] {
        let mut samples = vec![Vec::new(); WAYS.len()];
        for _ in 0..rounds {
            for (samples, (_, way)) in samples.iter_mut().zip(WAYS) {
                samples.push(bulk(way, streams));
            }
        }
        println!(
            "{streams} stream(s): CPU-s/GB proxy best, median; all best, median; Gbit/s median"
        );
        for (samples, (name, _)) in samples.iter_mut().zip(WAYS) {
            let proxy = best_and_median(samples, |sample| sample.cpu_per_gb);
            let all = best_and_median(samples, |sample| sample.all_per_gb);
            let rate = best_and_median(samples, |sample| sample.gbit_per_s).1;
            let ((best, median), (all_best, all_median)) = (proxy, all);
            println!(
                "  {name:22} {best:6.3} {median:6.3} {all_best:6.3} {all_median:6.3} {rate:6.1}"
            );
        }
    }
    println!("request and answer of one byte, p50 and p99:");
    println!("  alone            {:?}", requests(0));
    println!("  beside 1 stream  {:?}", requests(1));
    println!("  beside 4 streams {:?}", requests(4));
}

fn best_and_median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> (f64, f64) {
    let mut values: Vec<_> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2])
}

/// Moves [`TOTAL`] over each of `streams` connections at once.
fn bulk(way: Way, streams: usize) -> Sample {
    let mut ends = Vec::new();
    let mut pairs = Vec::new();
    for _ in 0..streams {
        let (client, source) = connected();
        let (destination, server) = connected();
        ends.push(thread::spawn(move || send(client)));
        ends.push(thread::spawn(move || receive(server)));
        pairs.push((source, destination));
    }
    let (begun, all) = (Instant::now(), cpu_time_of_all());
    let cpu = on_own_thread(way, pairs).join().unwrap();
    ends.into_iter().for_each(|end| end.join().unwrap());
    let bytes = (streams * TOTAL) as f64;
    Sample {
        all_per_gb: (cpu_time_of_all() - all) / bytes * 1e9,
        cpu_per_gb: cpu.as_secs_f64() / bytes * 1e9,
        gbit_per_s: bytes * 8.0 / begun.elapsed().as_secs_f64() / 1e9,
    }
}

/// How long a byte there and back takes through a proxy that carries bulk streams too.
fn requests(streams: usize) -> (Duration, Duration) {
    let mut pairs = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..streams {
        let (client, source) = connected();
        let (destination, server) = connected();
        ends.push(thread::spawn(move || send(client)));
        ends.push(thread::spawn(move || receive(server)));
        pairs.push((source, destination));
    }
    let (mut client, source) = connected();
    let (destination, mut server) = connected();
    pairs.push((source, destination));
    let echo = thread::spawn(move || {
        let mut byte = [0];
        while server.read(&mut byte).unwrap() == 1 {
            server.write_all(&byte).unwrap();
        }
    });
    let proxy = on_own_thread(Way::Copy(Grade::Huge), pairs);
    let mut took: Vec<_> = (0..2000)
        .map(|_| {
            let begun = Instant::now();
            client.write_all(&[1]).unwrap();
            client.read_exact(&mut [0]).unwrap();
            begun.elapsed()
        })
        .collect();
    client.shutdown(Shutdown::Write).unwrap();
    echo.join().unwrap();
    ends.into_iter().for_each(|end| end.join().unwrap());
    proxy.join().unwrap();
    took.sort();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Proxies each pair to its end; the CPU time that took.
fn on_own_thread(way: Way, pairs: Vec<(TcpStream, TcpStream)>) -> JoinHandle<Duration> {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let before = cpu_time();
        runtime.block_on(async {
            let tasks: Vec<_> = pairs
                .into_iter()
                .map(|(source, destination)| tokio::spawn(proxy(way, source, destination)))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        cpu_time().checked_sub(before).unwrap()
    })
}

async fn proxy(way: Way, source: TcpStream, destination: TcpStream) {
    let (source, destination) = (registered(source), registered(destination));
    match way {
        Way::Copy(buffer) => {
            let bounds = Bounds { buffer, idle: None };
            let ended = copy(&source, &destination, bounds, drop).await;
            assert!(matches!(ended, Ended::Finished), "{ended:?}");
        }
        Way::Splice => {
            let pipe = nix::unistd::pipe().unwrap();
            fcntl(&pipe.1, FcntlArg::F_SETPIPE_SZ(PIPE)).unwrap();
            splice_all(&source, &destination, &pipe).await;
            socket2::SockRef::from(&destination).shutdown(Shutdown::Write).unwrap();
        }
    }
}

async fn splice_all(
    source: &net::TcpStream,
    destination: &net::TcpStream,
    pipe: &(OwnedFd, OwnedFd),
) {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    let most = usize::try_from(PIPE).unwrap();
    loop {
        let into = || Ok(splice(source.as_fd(), None, &pipe.1, None, most, flags)?);
        let mut left: usize = source.async_io(Interest::READABLE, into).await.unwrap();
        if left == 0 {
            return;
        }
        while 0 < left {
            let out = || -> io::Result<usize> {
                Ok(splice(&pipe.0, None, destination.as_fd(), None, left, flags)?)
            };
            left -= destination.async_io(Interest::WRITABLE, out).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
}

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = listener.accept().unwrap().0;
    ours.set_nodelay(true).unwrap();
    theirs.set_nodelay(true).unwrap();
    (ours, theirs)
}

fn registered(io: TcpStream) -> net::TcpStream {
    io.set_nonblocking(true).unwrap();
    net::TcpStream::from_std(io).unwrap()
}

fn send(mut io: TcpStream) {
    let chunk = vec![1; 128 << 10];
    for _ in 0..TOTAL / chunk.len() {
        io.write_all(&chunk).unwrap();
    }
}

fn receive(mut io: TcpStream) {
    let mut buf = vec![0; 1 << 20];
    while io.read(&mut buf).unwrap() != 0 {}
}

/// Of this thread.
fn cpu_time() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

/// Of the process, in seconds.
fn cpu_time_of_all() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // User and system time, in ticks of 10 ms, are the 14th and 15th field; the second, a name in
    // parentheses, may contain blanks.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

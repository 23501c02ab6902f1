//! What a tunnel costs: CPU time per GB of both proxies, and of a request and its answer.
//!
//! `cargo bench -p culvert-dataplane --bench hbone [-- ROUNDS]`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it prints, and a failure ends it"
)]
use culvert_dataplane::hbone::door::{Client, serve};
use culvert_identity::{
    ca::{Authority, issuer::AuthorityIssuer},
    certificate::Certificate,
    clock::{Clock, SystemClock},
    keeper::{self, Parties, Settings},
    trust::{Trust, TrustStore},
};
use culvert_model::identity::Identity;
use culvert_runtime::{
    drain::Drain,
    publish::{self, View},
};
use std::{
    env, fs,
    future::pending,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{net, runtime};

/// As the product has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Per round, over all streams.
const TOTAL: usize = 1 << 30;
const REQUESTS: usize = 20_000;
const REQUEST: [u8; 128] = [1; 128];

/// Two workloads that can prove who they are.
#[derive(Clone)]
struct Mesh {
    cart: Arc<Certificate>,
    bank: Arc<Certificate>,
    trust: View<Trust>,
}

/// One round, in CPU seconds per GB.
#[derive(Clone, Copy)]
struct Sample {
    client: f64,
    server: f64,
    gbit_per_s: f64,
}

fn main() {
    let rounds = env::args().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    let mesh = mesh();
    println!("CPU-s/GB of the source's proxy, the destination's, both: median (best); Gbit/s");
    for streams in [1, 4] {
        let mut samples: Vec<_> = (0..rounds).map(|_| bulk(&mesh, streams)).collect();
        samples.sort_by(|a, b| a.both().total_cmp(&b.both()));
        let median = samples[rounds / 2];
        println!(
            "  {streams} stream(s)  {:.3}  {:.3}  {:.3} ({:.3})  {:.1}",
            median.client,
            median.server,
            median.both(),
            samples[0].both(),
            median.gbit_per_s
        );
    }
    let (p50, p99, cpu) = requests(&mesh);
    println!("128 bytes there and back: p50 {p50:?}, p99 {p99:?}, {cpu:?} CPU of both proxies");
}

impl Sample {
    fn both(&self) -> f64 {
        self.client + self.server
    }
}

fn bulk(mesh: &Mesh, streams: usize) -> Sample {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = app.local_addr().unwrap();
    let readers: Vec<_> = (0..streams)
        .map(|_| app.try_clone().unwrap())
        .map(|app| thread::spawn(move || receive(&app.accept().unwrap().0)))
        .collect();
    let (writers, sources): (Vec<_>, Vec<_>) = (0..streams).map(|_| connected()).unzip();
    let begun = Instant::now();
    let (client, server) = proxies(mesh, sources, to);
    let writers: Vec<_> =
        writers.into_iter().map(|io| thread::spawn(move || send(io, TOTAL / streams))).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    let took = begun.elapsed();
    let per_gb = |cpu: Duration| cpu.as_secs_f64() / TOTAL as f64 * 1e9;
    Sample {
        client: per_gb(client.join().unwrap()),
        server: per_gb(server.join().unwrap()),
        gbit_per_s: TOTAL as f64 * 8.0 / took.as_secs_f64() / 1e9,
    }
}

/// How long a request and its answer take, and the CPU time of both proxies for one.
fn requests(mesh: &Mesh) -> (Duration, Duration, Duration) {
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = app.local_addr().unwrap();
    let echo = thread::spawn(move || {
        let mut io = app.accept().unwrap().0;
        io.set_nodelay(true).unwrap();
        let mut request = REQUEST;
        while io.read_exact(&mut request).is_ok() {
            io.write_all(&request).unwrap();
        }
    });
    let (mut io, source) = connected();
    let (client, server) = proxies(mesh, vec![source], to);
    let mut took: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let begun = Instant::now();
            io.write_all(&REQUEST).unwrap();
            io.read_exact(&mut { REQUEST }).unwrap();
            begun.elapsed()
        })
        .collect();
    drop(io);
    let cpu = client.join().unwrap() + server.join().unwrap();
    echo.join().unwrap();
    took.sort();
    let at = |per_cent: usize| took[took.len() * per_cent / 100];
    (at(50), at(99), cpu / u32::try_from(REQUESTS).unwrap())
}

/// Carries `sources` to `to` with a thread for each end; the CPU time each took.
fn proxies(
    mesh: &Mesh,
    sources: Vec<TcpStream>,
    to: SocketAddr,
) -> (JoinHandle<Duration>, JoinHandle<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let next = listener.local_addr().unwrap();
    let Mesh { cart, bank, trust } = mesh.clone();
    let server = thread::spawn(move || {
        runtime().block_on(async {
            let (drain, before) = (Drain::default(), cpu_time());
            let link = registered(listener.accept().unwrap().0);
            serve(link, &bank, trust, &drain.worker()).await;
            cpu_time() - before
        })
    });
    let client = thread::spawn(move || {
        runtime().block_on(async {
            let (drain, before) = (Drain::default(), cpu_time());
            let client = Client::new(next, id("bank"), cart, &drain.worker(), 1);
            let carry = |source| {
                let client = client.clone();
                tokio::spawn(async move { client.carry(registered(source), to).await })
            };
            let carried: Vec<_> = sources.into_iter().map(carry).collect();
            for carried in carried {
                assert!(carried.await.unwrap());
            }
            drop(client);
            drain.drain(Duration::from_secs(5)).await;
            cpu_time() - before
        })
    });
    (client, server)
}

/// Issues certificates, on a thread that lives as long as the process.
fn mesh() -> Mesh {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let authority = Arc::new(Authority::new_root("td", clock.now()).unwrap());
            let (_publisher, view) = publish::channel(authority);
            let (drain, trust) = (Drain::default(), TrustStore::default());
            let issuer = Arc::new(AuthorityIssuer::new(view, Arc::clone(&clock)));
            let parties = Parties { issuer, trust: trust.clone(), clock };
            let identities = keeper::start(parties, Settings::default(), &drain.worker());
            let cart = identities.certificate(&id("cart")).await.unwrap();
            let bank = identities.certificate(&id("bank")).await.unwrap();
            tell.send(Mesh { cart, bank, trust: trust.view() }).unwrap();
            pending::<()>().await;
        });
    });
    told.recv().unwrap()
}

fn id(name: &str) -> Identity {
    Identity::try_new("td", "shop", name).unwrap()
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
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

fn send(mut io: TcpStream, count: usize) {
    let chunk = vec![1; 128 << 10];
    for _ in 0..count / chunk.len() {
        io.write_all(&chunk).unwrap();
    }
    io.shutdown(Shutdown::Write).unwrap();
    io.read_to_end(&mut Vec::new()).unwrap();
}

fn receive(mut io: &TcpStream) {
    let mut buf = vec![0; 1 << 20];
    while io.read(&mut buf).unwrap() != 0 {}
}

/// Of this thread.
fn cpu_time() -> Duration {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(schedstat.split(' ').next().unwrap().parse().unwrap())
}

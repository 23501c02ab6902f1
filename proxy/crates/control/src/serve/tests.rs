use super::*;
use culvert_identity::{
    ca::Authority,
    clock::{Clock as _, SystemClock},
};
use culvert_runtime::{drain::Drain, publish};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::service::Routes;

/// Ports at which nobody may take any time.
fn impatient(drain: &Drain) -> [SocketAddr; 2] {
    let authority = Authority::new_root("td", SystemClock.now()).unwrap();
    let (_, authority) = publish::channel(Arc::new(authority));
    let (worker, trust) = (drain.worker(), TrustStore::default());
    let clock = Arc::new(SystemClock);
    let serving = Serving::start(authority, &[], trust.clone(), clock, &worker).unwrap();
    let door = Door::open(Routes::default(), &worker);
    let porter = Porter::new(door, serving, trust, Hush::default(), worker.clone());
    let porter = Porter { patience: Duration::from_millis(50), ..porter };
    [Kind::Plain, Kind::Tls].map(|kind| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        porter.serve(listener, kind, &worker).unwrap();
        address
    })
}

#[tokio::test]
async fn who_says_nothing_of_use_is_turned_away() {
    let drain = Drain::default();
    let beginning = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for at in impatient(&drain) {
        for said in [&b""[..], b"\x16", b"P", beginning, &[0xff; 1000]] {
            let mut io = TcpStream::connect(at).await.unwrap();
            io.write_all(said).await.unwrap();
            let mut answer = Vec::new();
            // Ends, in whatever way.
            drop(io.read_to_end(&mut answer).await);
        }
    }
}

#[tokio::test]
async fn plain_text_is_for_this_machine_only() {
    let drain = Drain::default();
    let authority = Authority::new_root("td", SystemClock.now()).unwrap();
    let (_, authority) = publish::channel(Arc::new(authority));
    let (worker, trust) = (drain.worker(), TrustStore::default());
    let clock = Arc::new(SystemClock);
    let serving = Serving::start(authority, &[], trust.clone(), clock, &worker).unwrap();
    let door = Door::open(Routes::default(), &worker);
    let porter = Porter::new(door, serving, trust, Hush::default(), worker.clone());
    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let error = porter.serve(everywhere, Kind::Plain, &worker).unwrap_err();
    assert!(error.to_string().contains("only this machine"), "{error}");
}

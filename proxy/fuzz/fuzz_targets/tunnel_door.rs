//! Whatever comes to the port of tunnels: the door stays, and lets nobody in who proves nothing.
#![no_main]
use culvert_dataplane::hbone::door;
use culvert_identity::{
    ca::{Authority, issuer::AuthorityIssuer},
    certificate::Certificate,
    clock::{Clock, SystemClock},
    keeper::{self, Parties, Settings},
    trust::TrustStore,
};
use culvert_model::identity::Identity;
use culvert_runtime::{drain::Drain, publish};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};

/// What the door needs, made once.
struct House {
    runtime: Runtime,
    own: Arc<Certificate>,
    trust: TrustStore,
    drain: Drain,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (drain, trust) = (Drain::default(), TrustStore::default());
    let own = runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let authority = Authority::new_root("td", clock.now()).expect("a root");
        let (_publisher, view) = publish::channel(Arc::new(authority));
        let issuer = Arc::new(AuthorityIssuer::new(view, Arc::clone(&clock)));
        let parties = Parties { issuer, trust: trust.clone(), clock };
        let identities = keeper::start(parties, Settings::default(), &drain.worker());
        let own = Identity::try_new("td", "shop", "bank").expect("an identity");
        identities.certificate(&own).await.expect("a certificate")
    });
    House { runtime, own, trust, drain }
});

fuzz_target!(|bytes: &[u8]| {
    let House { runtime, own, trust, drain } = &*HOUSE;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let (client, served) = tokio::join!(TcpStream::connect(at), listener.accept());
        let (mut client, (served, _)) = (client.expect("a client"), served.expect("a visitor"));
        let worker = drain.worker();
        let serving = door::serve(served, own, trust.view(), &worker);
        let garbage = async {
            drop(client.write_all(bytes).await);
            drop(client.shutdown().await);
            drop(client.read_to_end(&mut Vec::new()).await);
        };
        tokio::join!(serving, garbage);
    });
});

//! What a mutual handshake costs, both ends on one thread over memory.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use culvert_identity::{
    ca::{Authority, issuer::AuthorityIssuer},
    certificate::Certificate,
    clock::{Clock, SystemClock},
    csr::Csr,
    keeper::{self, Parties, Settings},
    tls,
    trust::TrustStore,
};
use culvert_model::identity::Identity;
use culvert_runtime::{drain::Drain, publish};
use std::{hint::black_box, sync::Arc, time::Duration};

fn handshakes(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there are threads and descriptors");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let authority = Authority::new_root("td", clock.now()).expect("there is randomness");
    let (_publisher, view) = publish::channel(Arc::new(authority));
    let identity = Identity::try_new("td", "shop", "cart").expect("is one");

    let drain = Drain::default();
    let own = runtime.block_on(async {
        let issuer = Arc::new(AuthorityIssuer::new(view.clone(), Arc::clone(&clock)));
        let parties = Parties { issuer, trust: TrustStore::default(), clock: Arc::clone(&clock) };
        let identities = keeper::start(parties, Settings::default(), &drain.worker());
        identities.certificate(&identity).await.expect("is issued")
    });
    let expected: Arc<[Identity]> = [identity.clone()].into();

    let mut group = criterion.benchmark_group("handshake");
    group.throughput(Throughput::Elements(1));
    group.bench_function("both ends", |b| {
        b.iter(|| runtime.block_on(handshake(&own, &expected)));
    });
    group.finish();
    criterion.bench_function("client configuration", |b| {
        b.iter(|| black_box(own.client_config(Arc::clone(&expected))));
    });
    let csr = {
        // Any request will do again and again.
        let key = rcgen::KeyPair::generate().expect("there is randomness");
        let mut params = rcgen::CertificateParams::default();
        let uri = identity.to_string().try_into().expect("is ASCII");
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        Csr::from_der(params.serialize_request(&key).expect("is signed").der().clone())
    };
    criterion.bench_function("certificate signed by the embedded CA", |b| {
        let (authority, day) = (&view.pin().value, Duration::from_secs(86_400));
        b.iter(|| black_box(authority.sign(&identity, &csr, day, clock.now()).expect("is signed")));
    });
}

async fn handshake(own: &Certificate, expected: &Arc<[Identity]>) {
    let (a, b) = tokio::io::duplex(64 * 1024);
    let (client, server) =
        tokio::join!(tls::connect(own, Arc::clone(expected), a), tls::accept(own, b));
    black_box((client.expect("believes"), server.expect("believes")));
}

criterion_group!(benches, handshakes);
criterion_main!(benches);

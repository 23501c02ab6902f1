use super::*;
use culvert_identity::{clock::SystemClock, join::book::Books};
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::{
    Event, Metadata,
    span::{Attributes, Id, Record},
};

/// Counts lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn who_knocks_in_vain_again_and_again_does_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let [key, void] = ["key", "void"].map(|name| folder.path().join(name));
    let books = Books::open(&key, &void).unwrap();
    let gate = ReportsGate(Arc::new(Doorkeeper {
        tokens: books.view(),
        accounts: None,
        trust_domain: "td".into(),
        clock: Arc::new(SystemClock),
        hush: Hush::default(),
    }));
    let peer = |last| Peer { addr: Some(([192, 0, 2, last], 1).into()), ..Peer::default() };
    let lines = Lines::default();
    let _here = tracing::subscriber::set_default(lines.clone());
    for _ in 0..1000 {
        assert!(gate.knock(&peer(1), None).await.is_err());
    }
    let loud = lines.0.swap(0, Ordering::Relaxed);
    assert!((1..=10).contains(&loud), "{loud} lines of one caller");
    assert!(gate.knock(&peer(2), Some("a.b.c")).await.is_err());
    assert_eq!(lines.0.load(Ordering::Relaxed), 1);
}

//! The keeper, with issuers that fail, stall and lie.
use crate::world::{DAY, HOUR, Mesh, Node, START, chain, clock, id, meet};
use culvert_identity::{
    ca::Authority,
    issue::{Answer, IssueError, Issued, Issuer, Request},
    store::Unavailable,
};
use culvert_runtime::drain::Drained;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{self, Instant};

/// Asks an authority, unless told otherwise for a service account.
#[derive(Debug)]
struct Moody {
    inner: Arc<dyn Issuer>,
    moods: Mutex<HashMap<String, Mood>>,
    asked: Mutex<Vec<(String, Instant)>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Clone, Debug)]
enum Mood {
    Refuses,
    /// After this long.
    RefusesLate(Duration),
    Stalls,
    /// Answers after this long.
    Slow(Duration),
    /// Certifies another identity.
    Confuses,
    /// Sends roots that have nothing to do with the certificate.
    Misleads,
}

impl Moody {
    fn new(mesh: &Mesh) -> Arc<Self> {
        Arc::new(Self {
            inner: mesh.issuer(),
            moods: Mutex::default(),
            asked: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    fn set(&self, sa: &str, mood: Option<Mood>) {
        let mut moods = self.moods.lock();
        match mood {
            Some(mood) => moods.insert(sa.to_owned(), mood),
            None => moods.remove(sa),
        };
    }

    /// When `sa` was asked for, in seconds since `since`.
    fn asked(&self, sa: &str, since: Instant) -> Vec<f64> {
        let asked = self.asked.lock();
        asked.iter().filter(|(of, _)| of == sa).map(|(_, at)| (*at - since).as_secs_f64()).collect()
    }

    async fn answer(&self, request: &Request) -> Result<Issued, IssueError> {
        let sa = request.identity.service_account().to_owned();
        self.asked.lock().push((sa.clone(), Instant::now()));
        let mood = self.moods.lock().get(&sa).cloned();
        match mood {
            Some(Mood::Refuses) => return Err(IssueError::Refused("not today".to_owned())),
            Some(Mood::RefusesLate(wait)) => {
                time::sleep(wait).await;
                return Err(IssueError::Refused("not then".to_owned()));
            }
            Some(Mood::Stalls) => std::future::pending().await,
            Some(Mood::Slow(wait)) => time::sleep(wait).await,
            Some(Mood::Confuses | Mood::Misleads) | None => {}
        }
        let mut issued = match mood {
            Some(Mood::Confuses) => {
                // Somebody else's certificate: right authority, wrong name and key.
                let other = Mesh::new().node();
                let other = other.certificate("other").await;
                Issued { chain: other.chain().to_vec(), ..self.inner.issue(request).await? }
            }
            _ => self.inner.issue(request).await?,
        };
        if matches!(mood, Some(Mood::Misleads)) {
            issued.roots = Authority::new_root("td", START).unwrap().roots().to_vec();
        }
        Ok(issued)
    }
}

impl Issuer for Moody {
    fn issue<'a>(&'a self, request: &'a Request) -> Answer<'a, Result<Issued, IssueError>> {
        Box::pin(async {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let answer = self.answer(request).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            answer
        })
    }
}

fn moody() -> (Mesh, Arc<Moody>, Node) {
    let mesh = Mesh::new();
    let issuer = Moody::new(&mesh);
    let node = Node::new(Arc::clone(&issuer) as Arc<dyn Issuer>, clock(Duration::ZERO));
    (mesh, issuer, node)
}

#[tokio::test(start_paused = true)]
async fn a_held_certificate_is_renewed_around_its_half_life() {
    let (_mesh, issuer, node) = moody();
    let began = Instant::now();
    let _hold = node.identities.hold(id("cart"));
    let first = node.certificate("cart").await;
    time::sleep(DAY * 2).await;
    let asked = issuer.asked("cart", began);
    assert!((4..=5).contains(&asked.len()), "{asked:?}");
    for pair in asked.windows(2) {
        let hours = (pair[1] - pair[0]) / HOUR.as_secs_f64();
        assert!((10.7..=13.3).contains(&hours), "{asked:?}");
    }
    let now = node.certificate("cart").await;
    assert!(now.generation() > first.generation());
    assert_ne!(now.serial(), first.serial());
}

#[tokio::test(start_paused = true)]
async fn who_follows_a_certificate_is_given_what_replaces_it() {
    let (_mesh, _issuer, node) = moody();
    let _hold = node.identities.hold(id("cart"));
    let first = node.certificate("cart").await;
    let second = node.identities.renewed(&first).await.unwrap();
    assert!(second.generation() > first.generation());
    let third = node.identities.renewed(&second).await.unwrap();
    assert_eq!(third.generation(), node.certificate("cart").await.generation());
}

#[tokio::test(start_paused = true)]
async fn only_the_identity_that_is_refused_fails_and_it_says_why() {
    let (_mesh, issuer, node) = moody();
    issuer.set("cart", Some(Mood::Refuses));
    let _holds = ["cart", "bank"].map(|sa| node.identities.hold(id(sa)));
    let refused = node.identities.certificate(&id("cart")).await.unwrap_err();
    assert_eq!(
        chain(&refused),
        "there is no certificate for spiffe://td/ns/shop/sa/cart: the issuer refused: not today"
    );
    node.certificate("bank").await;
    issuer.set("cart", None);
    time::sleep(Duration::from_secs(1)).await;
    node.certificate("cart").await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_certificate_outlasts_refusals() {
    let (_mesh, issuer, node) = moody();
    issuer.set("cart", Some(Mood::Refuses));
    let _hold = node.identities.hold(id("cart"));
    let given_in = async {
        time::sleep(HOUR).await;
        issuer.set("cart", None);
    };
    let cart = id("cart");
    let (certificate, ()) = tokio::join!(node.identities.certified(&cart), given_in);
    assert_eq!(certificate.map(|one| one.identity().clone()), Some(cart));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_certificate_learns_that_the_keeper_has_ended() {
    let (_mesh, issuer, node) = moody();
    issuer.set("cart", Some(Mood::Refuses));
    let _hold = node.identities.hold(id("cart"));
    let Node { identities, drain, .. } = node;
    let ended = async {
        time::sleep(HOUR).await;
        drain.drain(Duration::from_secs(5)).await
    };
    let cart = id("cart");
    let (certificate, drained) = tokio::join!(identities.certified(&cart), ended);
    assert_eq!((certificate.is_none(), drained), (true, Drained::Clean));
}

#[tokio::test(start_paused = true)]
async fn who_is_held_since_a_refusal_is_asked_for_at_once() {
    let (_mesh, issuer, node) = moody();
    for mood in [Mood::Refuses, Mood::RefusesLate(Duration::from_secs(2))] {
        issuer.set("cart", Some(mood));
        // Nobody holds it: a connection that came after its workload had left.
        let late = node.identities.certificate(&id("cart")).await.unwrap_err();
        assert!(matches!(late, Unavailable::Missing { .. }), "{late}");
        issuer.set("cart", None);
        let began = Instant::now();
        let hold = node.identities.hold(id("cart"));
        time::sleep(Duration::from_millis(1)).await;
        node.certificate("cart").await;
        assert_eq!(began.elapsed().as_millis(), 1);
        drop(hold);
        time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_time_before_a_hold_reaches_nobody() {
    let (_mesh, issuer, node) = moody();
    issuer.set("cart", Some(Mood::RefusesLate(Duration::from_secs(2))));
    let held_later = async {
        time::sleep(Duration::from_secs(1)).await;
        issuer.set("cart", None);
        let hold = node.identities.hold(id("cart"));
        time::sleep(Duration::from_secs(2)).await;
        drop(hold);
    };
    tokio::join!(node.certificate("cart"), held_later);
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_and_longer() {
    let (_mesh, issuer, node) = moody();
    issuer.set("cart", Some(Mood::Refuses));
    let began = Instant::now();
    let _hold = node.identities.hold(id("cart"));
    time::sleep(Duration::from_secs(900)).await;
    let asked = issuer.asked("cart", began);
    let mut longest = 1.0_f64;
    for pair in asked.windows(2) {
        let waited = pair[1] - pair[0];
        assert!(longest / 2.0 - 0.01 <= waited && waited <= longest + 0.01, "{asked:?}");
        longest = (longest * 2.0).min(150.0);
    }
    assert!(asked.len() >= 12, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn an_old_certificate_is_used_until_it_expires_and_no_longer() {
    let (_mesh, issuer, node) = moody();
    let _hold = node.identities.hold(id("cart"));
    let first = node.certificate("cart").await;
    issuer.set("cart", Some(Mood::Refuses));
    time::sleep(HOUR * 23).await;
    let still = node.certificate("cart").await;
    assert_eq!(still.serial(), first.serial());
    let [status] = &*node.identities.status() else { panic!("one identity") };
    assert!(status.failure.is_some() && status.certificate.is_some());

    time::sleep(HOUR * 2).await;
    let expired = node.identities.certificate(&id("cart")).await.unwrap_err();
    assert_eq!(
        chain(&expired),
        "the certificate for spiffe://td/ns/shop/sa/cart has expired and was not renewed: \
         the issuer refused: not today"
    );
    assert!(node.identities.certificate_now(&id("cart")).is_none());
    issuer.set("cart", None);
    time::sleep(Duration::from_secs(151)).await;
    node.certificate("cart").await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_issuer_is_given_up_and_holds_up_nobody_else() {
    let (_mesh, issuer, node) = moody();
    issuer.set("cart", Some(Mood::Stalls));
    let began = Instant::now();
    let hold = node.identities.hold(id("cart"));
    let (stalled, _) =
        tokio::join!(node.identities.certificate(hold.identity()), node.certificate("bank"));
    let Unavailable::Missing { cause, .. } = stalled.unwrap_err() else { panic!("another error") };
    assert!(matches!(*cause, IssueError::Slow(_)), "{cause}");
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn eight_are_asked_for_at_once() {
    let (_mesh, issuer, node) = moody();
    let names: Vec<String> = (0..30).map(|at| format!("sa-{at}")).collect();
    for name in &names {
        issuer.set(name, Some(Mood::Slow(Duration::from_secs(1))));
    }
    let _holds: Vec<_> = names.iter().map(|sa| node.identities.hold(id(sa))).collect();
    let began = Instant::now();
    for name in &names {
        node.certificate(name).await;
    }
    assert_eq!(issuer.most.load(Ordering::SeqCst), 8);
    assert_eq!(began.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn certificates_that_are_not_what_was_asked_for_are_not_used() {
    let (_mesh, issuer, node) = moody();
    let why = async |sa: &str, mood| {
        issuer.set(sa, Some(mood));
        chain(&node.identities.certificate(&id(sa)).await.unwrap_err())
    };
    let confused = why("cart", Mood::Confuses).await;
    assert!(confused.ends_with(
        "the certificate is for spiffe://td/ns/shop/sa/other, not for spiffe://td/ns/shop/sa/cart"
    ), "{confused}");
    let misled = why("bank", Mood::Misleads).await;
    assert!(misled.contains("does not lead to the roots that came with it"), "{misled}");
    assert_eq!(node.trust.view().pin().value.roots().len(), 0, "and its roots are not believed");
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_once_comes_at_once_and_is_forgotten() {
    let (_mesh, issuer, node) = moody();
    let began = Instant::now();
    let (one, two) = tokio::join!(node.certificate("cart"), node.certificate("cart"));
    assert_eq!(one.serial(), two.serial(), "one request for both");
    time::sleep(DAY * 4).await;
    assert!(issuer.asked("cart", began).len() <= 2);
    assert!(node.identities.status().is_empty());
    node.certificate("cart").await;
}

#[tokio::test(start_paused = true)]
async fn the_last_hold_that_goes_takes_the_certificate_along() {
    let (_mesh, _issuer, node) = moody();
    let (first, second) = (node.identities.hold(id("cart")), node.identities.hold(id("cart")));
    node.certificate("cart").await;
    drop(first);
    time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.identities.status().len(), 1);
    drop(second);
    time::sleep(Duration::from_secs(1)).await;
    assert!(node.identities.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_what_is_given_up_is_served_all_the_same() {
    let (_mesh, issuer, node) = moody();
    issuer.set("cart", Some(Mood::Slow(Duration::from_secs(5))));
    let hold = node.identities.hold(id("cart"));
    let waits = node.certificate("cart");
    let goes = async {
        time::sleep(Duration::from_secs(1)).await;
        drop(hold);
    };
    tokio::join!(waits, goes);
}

#[tokio::test(start_paused = true)]
async fn after_the_drain_what_there_is_serves_on_and_nothing_new_comes() {
    let (_mesh, issuer, node) = moody();
    issuer.set("slow", Some(Mood::Stalls));
    let cart = node.certificate("cart").await;
    let _hold = node.identities.hold(id("slow"));
    time::sleep(Duration::from_secs(1)).await;
    let Node { identities, drain, .. } = node;
    let (slow, cart_id, other) = (id("slow"), id("cart"), id("other"));
    let waits = identities.certificate(&slow);
    let (waited, drained) = tokio::join!(waits, drain.drain(Duration::from_secs(1)));
    assert!(matches!(waited, Err(Unavailable::Closed)), "{waited:?}");
    assert_eq!(drained, Drained::Clean);
    assert_eq!(identities.certificate(&cart_id).await.unwrap().serial(), cart.serial());
    assert!(matches!(identities.certificate(&other).await, Err(Unavailable::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_leaf_is_rotated_under_traffic_without_an_error() {
    let (_mesh, _issuer, node) = moody();
    let _holds = ["cart", "bank"].map(|sa| node.identities.hold(id(sa)));
    for _ in 0..60 {
        let (cart, bank) = (node.certificate("cart").await, node.certificate("bank").await);
        let met = meet(&cart, &[id("bank")], &bank).await;
        assert_eq!(met.text(), (id("bank").to_string(), id("cart").to_string()));
        time::sleep(HOUR).await;
    }
}

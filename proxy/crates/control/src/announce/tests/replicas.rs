//! One of several replicas.
use super::*;

#[test]
fn another_replica_learns_what_was_captured() {
    let (now, place) =
        (Instant::now(), Place { node: "a".into(), enrolled: true, recorded: false });
    let mut other = Announcer::new(Record::default(), now);
    other.set(&uid(0), Some(place), now);
    assert_eq!(other.shown(&uid(0)), Shown::default());
    other.learn(settled().announcer.record(), now);
    let step = other.step(now, &Acked::default());
    assert_eq!(other.shown(&uid(0)), Shown { hbone: true, strict: true });
    assert!(step.shown.contains(&uid(0)));
}

#[test]
fn who_was_captured_for_another_replica_is_announced_once_the_pod_says_so() {
    let now = Instant::now();
    let place = |recorded| Some(Place { node: "a".into(), enrolled: true, recorded });
    let mut here = Announcer::new(Record::default(), now).among_others();
    let (joining, settled) =
        (Shown { hbone: true, strict: false }, Shown { hbone: true, strict: true });
    here.set(&uid(0), place(false), now);
    here.step(now, &Acked::default());
    assert_eq!(here.shown(&uid(0)), Shown::default());
    here.set(&uid(0), place(true), now);
    here.step(now, &Acked::default());
    assert_eq!(here.shown(&uid(0)), joining);
    // Nodes of the other replica have time to hear of it, too.
    here.published(1, now);
    here.step(now, &Acked::default());
    assert_eq!(here.shown(&uid(0)), joining);
    assert_eq!(here.wake(now), Some(now + GRACE));
    let mut acked = Acked::default();
    acked.insert("b".into(), 1, []);
    here.step(now + GRACE, &acked);
    assert_eq!(here.shown(&uid(0)), settled);

    // What the pod said before its node came here, and says otherwise, counts for nothing.
    let mut here = Announcer::new(Record::default(), now).among_others();
    here.set(&uid(0), place(false), now);
    here.came(&"a".into(), 1);
    here.set(&uid(0), place(true), now);
    here.step(now, &Acked::default());
    assert_eq!(here.shown(&uid(0)), Shown::default());
}

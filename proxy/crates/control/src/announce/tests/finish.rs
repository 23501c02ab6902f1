//! What was begun in plain text is finished in it.
use super::*;

#[test]
fn what_was_sent_to_a_workload_before_it_joined_has_time_to_be_answered() {
    let mut mesh = settled();
    for what in [
        Happens::Objects(1, Some((0, false))),
        Happens::Says(0, 1, Some(PodState::Captured)),
        Happens::Objects(1, Some((0, true))),
        Happens::Accepts(0),
        Happens::Accepts(1),
        Happens::Passes(999),
    ] {
        mesh.happen(&what);
    }
    assert_eq!(mesh.announcer.shown(&uid(1)), Shown { hbone: true, strict: false });
    assert_eq!(mesh.announcer.wake(mesh.now), Some(mesh.now + Duration::from_millis(1)));
    mesh.happen(&Happens::Passes(1));
    assert_eq!(mesh.announcer.shown(&uid(1)), Shown { hbone: true, strict: true });
}

//! Who wants the same pod at the same moment.
use crate::world::{Pod, World};
use culvert_kernel::{EnrolError, Node, PodSpec, Prepared};
use culvert_model::name::WorkloadUid;
use std::{sync::Barrier, thread};

/// Prepares for all at once, and says what each got.
fn at_once(wanted: &[(&Node, PodSpec)]) -> Vec<Result<Prepared, EnrolError>> {
    let start = Barrier::new(wanted.len());
    thread::scope(|scope| {
        let prepare = |(node, spec): &(&Node, PodSpec)| {
            start.wait();
            node.prepare(spec)
        };
        let threads: Vec<_> =
            wanted.iter().map(|wanted| scope.spawn(move || prepare(wanted))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn named(pod: &Pod, name: &str) -> PodSpec {
    PodSpec { uid: WorkloadUid::new(format!("test//Pod/it/{name}")), ..pod.spec() }
}

#[test]
fn of_pods_that_name_one_namespace_at_once_one_is_enrolled() {
    let mut world = World::new("samens");
    let pod = world.pod("a");
    let node = world.load();
    for _ in 0..20 {
        let wanted = ["x", "y", "z"].map(|name| (&node, named(&pod, name)));
        let got = at_once(&wanted);
        assert_eq!(got.iter().flatten().count(), 1, "{got:?}");
    }
}

#[test]
fn of_instances_that_want_one_pod_at_once_one_gets_it() {
    let (mut one, two) = (World::new("oneatonce"), World::new("twoatonce"));
    let pod = one.pod("a");
    let before = pod.state();
    let (first, second) = (one.load(), two.load());
    for _ in 0..20 {
        let got = at_once(&[(&first, pod.spec()), (&second, pod.spec())]);
        assert_eq!(got.iter().flatten().count(), 1, "{got:?}");
    }
    assert_eq!(pod.state(), before);
}

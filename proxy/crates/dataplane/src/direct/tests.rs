use super::*;
use crate::sample::{Mesh, TestPod, deny, member, service};
use culvert_model::{
    name::ServiceName,
    service::{AppProtocol, Port},
};
use std::num::NonZeroU16;

/// Two pods of a node, what the mesh knows of them, and who may go direct.
struct World {
    mesh: Mesh,
    pods: [TestPod; 2],
    direct: Direct,
}

impl World {
    async fn new() -> Self {
        let mut mesh = Mesh::new(|_| {});
        let pods = [mesh.pod("cart").await, mesh.pod("stock").await];
        Self { mesh, pods, direct: Direct::new(None) }
    }

    fn snapshot(&mut self) -> Snapshot {
        self.mesh.builder.build()
    }

    /// How many pods get a new epoch with the next snapshot.
    fn reconcile(&mut self) -> usize {
        let snapshot = self.snapshot();
        let doors: Vec<_> = self.pods.iter().map(|pod| Arc::clone(&pod.door)).collect();
        self.direct.reconcile(&snapshot, &doors, &[]).epochs.len()
    }

    /// A connection from cart to stock that was let pass now.
    fn passed(&mut self) -> Passed {
        let snapshot = self.snapshot();
        let known = |pod: &TestPod| Arc::clone(snapshot.known(&pod.door.pod.uid).unwrap());
        let [cart, stock] = &self.pods;
        let (meant, target) = (stock.addr(), stock.addr());
        let (source, destination) = (known(cart), known(stock));
        Passed { meant, target, source, service: None, destination }
    }

    fn verdict(&self, passed: &Passed) -> Option<Verdict> {
        self.direct.state.lock().verdict(passed)
    }
}

#[tokio::test]
async fn a_verdict_is_of_the_state_it_was_decided_in() {
    let mut world = World::new().await;
    assert_eq!((world.reconcile(), world.reconcile()), (2, 0));
    let passed = world.passed();
    let verdict = world.verdict(&passed).unwrap();
    assert_eq!((verdict.destination, verdict.endpoints), (passed.target, 1));

    // A policy selects the destination: what was decided before is worth nothing now.
    let policy = deny("no-cart", "cart");
    let mut stock = member("stock", world.pods[1].ip);
    stock.policies = [policy.name.clone()].into();
    world.mesh.builder.set_policy(policy);
    world.mesh.builder.set_member(Arc::new(stock));
    assert!(world.verdict(&passed).is_some(), "nobody has heard of it");
    assert_eq!(world.reconcile(), 1);
    assert_eq!(world.verdict(&passed), None);
    let passed = world.passed();
    let newer = world.verdict(&passed).unwrap();
    assert!(verdict.destination_epoch < newer.destination_epoch);
    assert_eq!(verdict.source_epoch, newer.source_epoch);
}

#[tokio::test]
async fn a_change_elsewhere_changes_nothing() {
    let mut world = World::new().await;
    world.reconcile();
    let passed = world.passed();
    world.mesh.builder.set_member(Arc::new(member("other", [10, 9, 9, 9].into())));
    world.mesh.builder.set_policy(deny("of-others", "cart"));
    assert_eq!(world.reconcile(), 0);
    assert!(world.verdict(&passed).is_some());
}

#[tokio::test]
async fn who_leaves_takes_its_verdicts_along() {
    let mut world = World::new().await;
    world.reconcile();
    let passed = world.passed();
    let snapshot = world.snapshot();
    let cart = [Arc::clone(&world.pods[0].door)];
    world.direct.reconcile(&snapshot, &cart, &[]);
    assert_eq!(world.verdict(&passed), None);
    assert_eq!(world.direct.epochs().len(), 1);
}

#[tokio::test]
async fn the_verdicts_of_who_is_no_longer_announced_end() {
    let mut world = World::new().await;
    world.reconcile();
    let passed = world.passed();
    world.mesh.builder.remove_member(&world.pods[1].door.pod.uid);
    assert_eq!((world.reconcile(), world.reconcile()), (1, 0), "the kernel is told, once");
    assert_eq!(world.verdict(&passed), None);
}

#[tokio::test]
async fn what_the_kernel_was_not_told_is_told_again() {
    let mut world = World::new().await;
    let snapshot = world.snapshot();
    let doors: Vec<_> = world.pods.iter().map(|pod| Arc::clone(&pod.door)).collect();
    let untold = world.direct.reconcile(&snapshot, &doors, &[]);
    world.direct.keep(untold);
    assert!(world.direct.is_untold(), "no verdict of before holds");
    assert_eq!((world.reconcile(), world.reconcile()), (2, 0), "though nothing has changed");
    assert!(world.direct.is_untold(), "not before it is known to be told");
    world.direct.told();
    assert!(!world.direct.is_untold());
}

#[tokio::test]
async fn connections_to_who_is_announced_no_more_are_looked_at_once_its_time_is_over() {
    let mut world = World::new().await;
    world.reconcile();
    let stock = world.pods[1].door.pod.uid.clone();
    let announced = Arc::clone(&world.snapshot().known(&stock).unwrap().member);
    world.mesh.builder.remove_member(&stock);
    world.reconcile();
    assert!(!world.direct.is_abandoned(&stock));
    world.direct.abandon(&stock);
    assert_eq!((world.reconcile(), world.reconcile()), (1, 0), "what is open is judged, once");
    assert!(world.direct.is_abandoned(&stock));
    world.mesh.builder.set_member(announced);
    world.reconcile();
    assert!(!world.direct.is_abandoned(&stock));
}

#[tokio::test]
async fn a_verdict_for_a_service_ends_with_a_change_of_its_endpoints() {
    let mut world = World::new().await;
    let vip: IpAddr = [10, 96, 0, 10].into();
    world.mesh.builder.set_service(Arc::new(service("stock", vip)));
    let behind = |name: &str, ip: IpAddr| {
        let port = Port {
            port: NonZeroU16::new(80).unwrap(),
            target: NonZeroU16::new(8080),
            protocol: AppProtocol::Tcp,
        };
        let mut member = member(name, ip);
        let host = ServiceName::new("shop", "stock.shop.svc.cluster.local");
        member.services = [(host, vec![port])].into_iter().collect();
        Arc::new(member)
    };
    let stock = behind("stock", world.pods[1].ip);
    world.mesh.builder.set_member(stock);
    world.reconcile();
    let mut passed = world.passed();
    passed.meant = (vip, 80).into();
    assert_eq!(world.verdict(&passed), None, "not without knowing which service it is");
    let bound = world.snapshot().service_at(vip, "shop").map(Arc::clone);
    passed.service = bound;
    let verdict = world.verdict(&passed).unwrap();
    assert_eq!((verdict.destination, verdict.endpoint), ((vip, 80).into(), passed.target));
    assert_eq!((verdict.endpoints, world.reconcile()), (1, 0));

    world.mesh.builder.set_member(behind("second", [10, 9, 9, 9].into()));
    assert_eq!(world.reconcile(), 1, "only the source's: the destination is as it was");
    let late = Passed { service: passed.service.clone(), ..world.passed() };
    let late = Passed { meant: passed.meant, ..late };
    assert_eq!(world.verdict(&late), None, "of the service as it was while this one was opened");
    let passed = Passed { service: world.snapshot().service_at(vip, "shop").cloned(), ..passed };
    assert_eq!(world.verdict(&passed).unwrap().endpoints, 2);
}

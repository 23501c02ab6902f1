use super::*;
use culvert_model::member::Member;
use proptest::prelude::*;

fn wanted(node: &str, account: &str, name: &str, enrolled: bool) -> Wanted {
    let identity = Identity::try_new("td", "shop", account).unwrap();
    let uid = WorkloadUid::new(name);
    let member =
        Member { node: node.into(), ..Member::new(uid, ObjectName::new("shop", name), identity) };
    let (mtls, origin) = (Box::default(), "".into());
    Wanted { member: Arc::new(member), enrolled, recorded: false, mtls, origin }
}

fn id(account: &str) -> Identity {
    Identity::try_new("td", "shop", account).unwrap()
}

#[test]
fn a_node_speaks_for_pods_that_are_in_the_mesh_and_on_it_now() {
    let mut hosting = Hosting::default();
    let [web, job] = ["web", "job"].map(WorkloadUid::new);
    assert!(hosting.change(&web, Some(&wanted("one", "a", "web", true)), None).hosted);
    assert!(!hosting.change(&web, Some(&wanted("one", "a", "web", true)), None).hosted);
    assert!(
        !hosting.change(&job, Some(&wanted("one", "b", "job", false)), None).hosted,
        "it is in no mesh"
    );
    assert!(hosting.hosted.is_on("one", &id("a")) && !hosting.hosted.is_on("one", &id("b")));
    assert!(hosting.change(&web, Some(&wanted("two", "a", "web", true)), None).hosted);
    assert!(!hosting.hosted.is_on("one", &id("a")) && hosting.hosted.is_on("two", &id("a")));
    let recorded = Wanted { recorded: true, ..wanted("two", "a", "web", false) };
    assert!(!hosting.change(&web, Some(&recorded), None).hosted, "it is captured still");
    assert!(hosting.change(&web, None, None).hosted);
    assert_eq!(hosting.hosted, Hosted::default());
}

#[test]
fn a_pod_that_is_being_made_is_spoken_for_already() {
    let mut hosting = Hosting::default();
    let web = WorkloadUid::new("web");
    let name = ObjectName::new("shop", "web");
    let expected = Expected { node: "one".into(), name, identity: id("a") };
    assert!(hosting.change(&web, None, Some(&expected)).hosted);
    assert!(hosting.hosted.is_on("one", &id("a")));
    assert!(!hosting.change(&web, Some(&wanted("one", "a", "web", true)), None).hosted);
    assert!(hosting.change(&web, None, None).hosted);
    assert!(!hosting.hosted.is_on("one", &id("a")));
}

#[test]
fn a_pod_of_a_nodes_own_process_says_where_that_is_and_gets_nothing_itself() {
    let agent = Some(("shop".to_owned(), "a".to_owned()));
    let mut hosting = Hosting::new(agent);
    let uid = WorkloadUid::new("agent");
    let other = hosting.change(&uid, Some(&wanted("one", "a", "agent", true)), None);
    assert_eq!(other, Other { hosted: false, agents: true });
    let name = ObjectName::new("shop", "agent");
    assert_eq!(hosting.agents.get(&name).map(|node| &**node), Some("one"));
    assert!(!hosting.hosted.is_on("one", &id("a")));
    hosting.change(&uid, None, None);
    assert_eq!(hosting.agents.get(&name), None);
}

#[test]
fn of_many_pods_some_are_named() {
    let mut hosting = Hosting::default();
    assert_eq!(hosting.hosted.told("one").to_string(), "no pod in the mesh");
    for n in 0..9 {
        let name = format!("web-{n}");
        hosting.change(
            &WorkloadUid::new(name.as_str()),
            Some(&wanted("one", "a", &name, true)),
            None,
        );
    }
    let told = hosting.hosted.told("one").to_string();
    assert_eq!(told, "shop/web-0, shop/web-1, shop/web-2, shop/web-3, shop/web-4 and 4 more");
}

proptest! {
    #[test]
    fn however_it_came_to_be_it_is_the_same(
        steps in prop::collection::vec((0..6_u8, prop::option::of((0..3_u8, 0..3_u8, any::<bool>()))), 0..40),
    ) {
        let mut hosting = Hosting::default();
        let mut now = BTreeMap::new();
        for (pod, is) in steps {
            let name = pod.to_string();
            let is = is.map(|(node, account, enrolled)| {
                wanted(&node.to_string(), &account.to_string(), &name, enrolled)
            });
            hosting.change(&WorkloadUid::new(name.as_str()), is.as_ref(), None);
            now.insert(name, is);
        }
        let mut anew = Hosting::default();
        for (name, is) in now {
            anew.change(&WorkloadUid::new(name.as_str()), is.as_ref(), None);
        }
        prop_assert_eq!(hosting.hosted, anew.hosted);
    }
}

//! Entries in lists as the CNIs of this world write them.
use super::*;
use proptest::prelude::*;

const BRIDGE: &str = r#"{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    { "type": "bridge", "ipam": {"type": "host-local"} },
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }
  ]
}
"#;

const SINGLE: &str =
    "{\n \"cniVersion\": \"0.3.1\", \"name\": \"weave\", \"type\": \"weave-net\" }\n";

fn entry() -> Entry {
    Entry {
        instance: "node".to_owned(),
        socket: "/run/culvert/node/cni.sock".into(),
        enrolled: "/etc/cni/net.d/culvert-node.enrolled".into(),
    }
}

fn files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// What becomes of files that are planned for.
fn done(mut files: BTreeMap<String, String>, plan: Plan) -> BTreeMap<String, String> {
    for (name, text) in plan.changes {
        match text {
            Some(text) => drop(files.insert(name, text)),
            None => drop(files.remove(&name)),
        }
    }
    files
}

fn put(before: &BTreeMap<String, String>) -> (BTreeMap<String, String>, Option<String>) {
    let plan = plan(before, "node", Some(&entry()));
    let chained = plan.chained.clone();
    (done(before.clone(), plan), chained)
}

fn taken(before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    done(before.clone(), plan(before, "node", None))
}

#[test]
fn the_first_list_gets_the_entry_at_its_end_and_loses_it_without_a_trace() {
    let before = files([("10-pods.conflist", BRIDGE), ("20-other.conflist", BRIDGE)]);
    let (after, chained) = put(&before);
    assert_eq!(chained.as_deref(), Some("10-pods.conflist"));
    let expected = BRIDGE.replace(
        "    }\n  ]",
        "    },\n    {\"type\":\"culvert-cni\",\"instance\":\"node\",\"socket\":\"/run/culvert/node/cni.sock\",\"enrolled\":\"/etc/cni/net.d/culvert-node.enrolled\"}\n  ]",
    );
    assert_eq!(after["10-pods.conflist"], expected);
    assert_eq!(after["20-other.conflist"], BRIDGE);
    assert_eq!(put(&after).0, after, "it is put there once");
    assert_eq!(taken(&after), before);
}

#[test]
fn a_single_plugin_stays_and_a_list_comes_before_it() {
    let before = files([("10-weave.conf", SINGLE), ("99-loopback.conf", SINGLE)]);
    let (after, chained) = put(&before);
    assert_eq!(chained.as_deref(), Some("10-weave-culvert-node.conflist"));
    assert_eq!(after.keys().next(), chained.as_ref(), "the runtime takes it");
    assert_eq!(after["10-weave.conf"], SINGLE);
    let list: serde_json::Value =
        serde_json::from_str(&after["10-weave-culvert-node.conflist"]).unwrap();
    assert_eq!((&list["cniVersion"], &list["name"]), (&"0.3.1".into(), &"weave".into()));
    assert_eq!(list["plugins"][0]["type"], "weave-net");
    assert_eq!(list["plugins"][1]["from"], "10-weave.conf");
    assert_eq!(put(&after).0, after);
    assert_eq!(taken(&after), before);
    // Its owner takes the plugin away.
    let mut gone = after;
    gone.remove("10-weave.conf");
    gone.remove("99-loopback.conf");
    assert_eq!(put(&gone).0, files([]));
}

#[test]
fn the_entry_follows_the_file_that_the_runtime_takes() {
    let (mut files, _) = put(&files([("50-pods.conflist", BRIDGE)]));
    files.insert("05-new.conflist".to_owned(), BRIDGE.to_owned());
    let (after, chained) = put(&files);
    assert_eq!(chained.as_deref(), Some("05-new.conflist"));
    assert!(has_plugin(&after["05-new.conflist"]));
    assert_eq!(after["50-pods.conflist"], BRIDGE);
}

#[test]
fn an_entry_that_is_out_of_date_is_replaced_where_it_stands() {
    let (mut files, _) = put(&files([("10-pods.conflist", BRIDGE)]));
    let text = &files["10-pods.conflist"];
    let (before, after) = text.rsplit_once("\n  ]").unwrap();
    let more = format!("{before},\n    {{\"type\":\"tuning\"}}\n  ]{after}");
    files.insert("10-pods.conflist".to_owned(), more.replace("/run/culvert/node", "/run/old"));
    assert_eq!(put(&files).0["10-pods.conflist"], more);
    assert_eq!(
        taken(&files)["10-pods.conflist"],
        BRIDGE.replace("    }\n  ]", "    },\n    {\"type\":\"tuning\"}\n  ]")
    );
}

#[test]
fn entries_of_two_instances_stand_side_by_side() {
    let before = files([("10-pods.conflist", BRIDGE)]);
    let (one, _) = put(&before);
    let other = Entry { instance: "b".to_owned(), ..entry() };
    let both = done(one.clone(), plan(&one, "b", Some(&other)));
    assert_eq!(both["10-pods.conflist"].matches("culvert-cni").count(), 2);
    assert_eq!(done(both.clone(), plan(&both, "b", None)), one);
    assert_eq!(taken(&both)["10-pods.conflist"].matches("culvert-cni").count(), 1);
}

#[test]
fn what_no_runtime_takes_is_passed_over_and_said() {
    let before = files([
        ("00-garbage.conflist", "{\"plugins\": [}"),
        ("01-empty.conflist", r#"{"cniVersion":"1.0.0","name":"x","plugins":[]}"#),
        ("02-single.conflist", SINGLE),
        ("03-none.conf", r#"{"cniVersion":"1.0.0","name":"x"}"#),
        ("04-old.conf", r#"{"name":"x","type":"bridge"}"#),
        ("05-list.json", BRIDGE),
        ("10-pods.conflist", BRIDGE),
    ]);
    let plan = plan(&before, "node", Some(&entry()));
    assert_eq!(plan.chained.as_deref(), Some("10-pods.conflist"));
    let said: Vec<_> = plan.faults.values().map(ToString::to_string).collect();
    assert!(said[0].starts_with("it is no CNI configuration: "), "{}", said[0]);
    assert_eq!(said[1..3], ["it is a list without plugins"; 2]);
    assert_eq!(said[3], "it has no `type`, so no runtime takes it");
    assert!(said[4].contains("set `cniVersion`") && said[5].contains("has no `type`"));
}

fn list() -> impl Strategy<Value = String> {
    let blank = || "[ \n\t]{0,3}";
    let plugin = (blank(), "[a-z]{1,8}", blank())
        .prop_map(|(before, kind, after)| format!("{before}{{\"type\":\"{kind}\"}}{after}"));
    let plugins = prop::collection::vec(plugin, 1..5);
    (plugins, blank(), blank()).prop_map(|(plugins, one, other)| {
        format!(
            "{one}{{\"plugins\":{other}[{}],\"cniVersion\":{one}\"1.0.0\"}}{other}",
            plugins.join(",")
        )
    })
}

proptest! {
    #[test]
    fn what_is_put_into_any_list_is_taken_out_without_a_trace(text in list()) {
        let before = files([("1.conflist", text.as_str())]);
        let (after, chained) = put(&before);
        prop_assert_eq!(chained.as_deref(), Some("1.conflist"));
        let read: serde_json::Value = serde_json::from_str(&after["1.conflist"]).unwrap();
        prop_assert_eq!(&read["plugins"].as_array().unwrap().last().unwrap()["type"], NAME);
        prop_assert_eq!(&put(&after).0, &after);
        prop_assert_eq!(taken(&after), before);
    }

    #[test]
    fn any_files_are_planned_for_without_a_panic(
        any in prop::collection::btree_map("[a-z]{1,3}\\.(conf|conflist|json)", any::<String>(), 0..4),
    ) {
        let (after, _) = put(&any);
        prop_assert_eq!(taken(&after), any);
    }
}

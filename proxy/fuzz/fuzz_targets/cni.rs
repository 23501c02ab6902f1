//! Whatever a container runtime, another plugin or another CNI writes: it is read without a panic,
//! and an entry that is put into a list is taken out without a trace.
#![no_main]
use culvert_cni::{
    call::PodRef,
    cgroup,
    chain::{self, Entry},
    conf::Conf,
    enrolled::Enrolled,
    message::{self, Answer, Question},
    result,
};
use libfuzzer_sys::fuzz_target;
use std::{collections::BTreeMap, path::Path};

fuzz_target!(|bytes: &[u8]| {
    drop(Conf::read(bytes));
    drop(message::parse::<Question>(bytes));
    drop(message::parse::<Answer>(bytes));
    if let Ok(enrolled) = Enrolled::parse(Path::new("x"), bytes) {
        assert_eq!(Enrolled::parse(Path::new("x"), &enrolled.text()).unwrap(), enrolled);
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    drop(PodRef::read(text));
    drop(result::addresses(text));
    drop(cgroup::pod_uid(text));
    let entry = Entry {
        instance: "node".to_owned(),
        socket: "/run/culvert/node/cni.sock".into(),
        enrolled: "/etc/cni/net.d/culvert-node.enrolled".into(),
    };
    for name in ["10-x.conflist", "10-x.conf"] {
        // One that has the entry already loses it.
        let before = BTreeMap::from([(name.to_owned(), text.to_owned())]);
        let before = done(before.clone(), chain::plan(&before, "node", None));
        let after = done(before.clone(), chain::plan(&before, "node", Some(&entry)));
        assert!(chain::plan(&after, "node", Some(&entry)).changes.is_empty());
        assert_eq!(done(after.clone(), chain::plan(&after, "node", None)), before);
    }
});

/// What becomes of files that are planned for.
fn done(mut files: BTreeMap<String, String>, plan: chain::Plan) -> BTreeMap<String, String> {
    for (name, text) in plan.changes {
        match text {
            Some(text) => drop(files.insert(name, text)),
            None => drop(files.remove(&name)),
        }
    }
    files
}

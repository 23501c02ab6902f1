use super::*;

fn record(lines: &[(&str, Held)]) -> Record {
    lines.iter().map(|(uid, held)| (WorkloadUid::new(*uid), "a".into(), *held)).collect()
}

#[test]
fn what_was_saved_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/captured.json");
    let (mut store, none) = Store::open(&path).unwrap();
    assert!(none.is_empty());
    let all = record(&[("u", Held::Announced), ("v", Held::Settled), ("w", Held::Withdrawn)]);
    store.save(&none, &all).unwrap();
    assert_eq!(Store::open(&path).unwrap().1, all);
    assert!(store.news().unwrap().is_none());
}

#[test]
fn replicas_write_what_they_changed_and_learn_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("captured.json");
    let (mut one, nothing) = Store::open(&path).unwrap();
    let (mut two, _) = Store::open(&path).unwrap();
    let first = record(&[("u", Held::Announced)]);
    one.save(&nothing, &first).unwrap();
    two.save(&nothing, &record(&[("v", Held::Settled)])).unwrap();
    let both = record(&[("u", Held::Announced), ("v", Held::Settled)]);
    assert_eq!(one.news().unwrap(), Some(both));
    assert_eq!(one.news().unwrap(), None);
    one.save(&first, &record(&[])).unwrap();
    assert_eq!(two.news().unwrap(), Some(record(&[("v", Held::Settled)])));
}

#[test]
fn a_broken_record_is_no_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("captured.json");
    for text in ["", "{}", r#"{"version":2,"captured":[]}"#] {
        fs::write(&path, text).unwrap();
        assert!(matches!(Store::open(&path), Err(RecordError::Content { .. })), "{text}");
    }
}

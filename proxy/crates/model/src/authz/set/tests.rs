use super::*;
use proptest::prelude::*;

fn strings(of: &[StringMatch]) -> Strings {
    of.iter().cloned().collect()
}

fn networks(of: &[&str]) -> Networks {
    of.iter().map(|net| net.parse::<IpNet>().unwrap()).collect()
}

#[test]
fn strings_compare_exactly_by_prefix_by_suffix_or_by_being_there() {
    let set = strings(&[
        StringMatch::Exact("b".into()),
        StringMatch::Exact("a".into()),
        StringMatch::Prefix("pre-".into()),
        StringMatch::Suffix("-suf".into()),
    ]);
    for (value, is_in) in
        [("a", true), ("b", true), ("c", false), ("pre-x", true), ("x-suf", true), ("", false)]
    {
        assert_eq!(set.has(Some(value)), is_in, "{value}");
    }
    assert!(!set.has(None));
    let any = strings(&[StringMatch::Presence]);
    assert!(any.has(Some("")) && !any.has(None) && !any.is_empty());
    assert_eq!(set.to_string(), "[a, b, pre-*, *-suf]");
}

#[test]
fn networks_may_overlap_and_families_stay_apart() {
    let set = networks(&["10.0.0.0/8", "10.1.0.0/16", "192.168.1.1/32", "fd00::/8"]);
    for (value, is_in) in [
        ("10.255.255.255", true),
        ("10.1.2.3", true),
        ("11.0.0.0", false),
        ("9.255.255.255", false),
        ("192.168.1.1", true),
        ("192.168.1.2", false),
        ("::ffff:10.1.1.1", true),
        ("fd12::1", true),
        ("fe80::1", false),
        ("::a00:1", false),
    ] {
        assert_eq!(set.has(value.parse().unwrap()), is_in, "{value}");
    }
}

#[test]
fn a_network_without_length_of_one_family_is_not_the_other() {
    let everything = networks(&["0.0.0.0/0"]);
    assert!(everything.has("255.255.255.255".parse().unwrap()));
    assert!(!everything.has("::1".parse().unwrap()));
    assert!(networks(&["::ffff:10.0.0.0/104"]).has("10.9.9.9".parse().unwrap()));
}

#[test]
fn a_condition_wants_any_of_the_one_and_none_of_the_other() {
    let condition = Condition::<Ports> {
        is: [80, 90].into_iter().collect(),
        is_not: [90].into_iter().collect(),
    };
    assert_eq!([80, 90, 91].map(|port| condition.holds(port)), [true, false, false]);
    assert_eq!(condition.to_string(), "[80, 90] and not 90");
    let not =
        Condition::<Strings> { is_not: strings(&[StringMatch::Presence]), ..Condition::default() };
    assert!(not.holds(None), "whoever has no name is not named");
    assert!(!not.holds(Some("x")));
}

fn any_match() -> impl Strategy<Value = StringMatch> {
    let text = || "[ab]{0,3}".prop_map(Arc::<str>::from);
    prop_oneof![
        3 => text().prop_map(StringMatch::Exact),
        1 => text().prop_map(StringMatch::Prefix),
        1 => text().prop_map(StringMatch::Suffix),
    ]
}

fn any_network() -> impl Strategy<Value = IpNet> {
    let v4 = (0..4_u8, any::<u8>(), 20..=32_u8)
        .prop_map(|(a, b, len)| IpNet::new([10, 0, a, b].into(), len).unwrap());
    let v6 = (0..8_u16, 120..=128_u8)
        .prop_map(|(last, len)| IpNet::new([0xfd00, 0, 0, 0, 0, 0, 0, last].into(), len).unwrap());
    prop_oneof![v4, v6]
}

proptest! {
    #[test]
    fn strings_answer_as_each_of_them_would(
        of in prop::collection::vec(any_match(), 0..8), value in "[ab]{0,4}",
    ) {
        let one_does = of.iter().any(|one| match one {
            StringMatch::Exact(s) => value == **s,
            StringMatch::Prefix(s) => value.starts_with(&**s),
            StringMatch::Suffix(s) => value.ends_with(&**s),
            StringMatch::Presence => true,
        });
        prop_assert_eq!(strings(&of).has(Some(&value)), one_does);
    }

    #[test]
    fn networks_answer_as_each_of_them_would(
        of in prop::collection::vec(any_network(), 0..8),
        v4 in (0..5_u8, any::<u8>()), v6 in 0..16_u16,
    ) {
        let set: Networks = of.iter().copied().collect();
        let v4 = IpAddr::from([10, 0, v4.0, v4.1]);
        for value in [v4, IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, v6])] {
            prop_assert_eq!(set.has(value), of.iter().any(|net| net.contains(&value)));
        }
    }

    #[test]
    fn accounts_and_ports_answer_as_each_of_them_would(
        accounts in prop::collection::vec(("[ab]{1,2}", "[ab]{1,2}"), 0..6),
        ports in prop::collection::vec(0..10_u16, 0..6),
        namespace in "[ab]{1,2}", service_account in "[ab]{1,2}", port in 0..10_u16,
    ) {
        let account = |(namespace, service_account): &(String, String)| Account {
            namespace: (&**namespace).into(),
            service_account: (&**service_account).into(),
        };
        let set: Accounts = accounts.iter().map(account).collect();
        let asked = Some((&*namespace, &*service_account));
        let is_in = accounts.iter().any(|one| (&*one.0, &*one.1) == (&*namespace, &*service_account));
        prop_assert_eq!(set.has(asked), is_in);
        prop_assert_eq!(ports.iter().copied().collect::<Ports>().has(port), ports.contains(&port));
    }
}

use super::*;
use crate::ca::Authority;
use proptest::prelude::*;

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
const HOUR: Duration = Duration::from_secs(60 * 60);

fn later(by: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW.as_secs()) + by)
}

fn mint(key: &Key, node: &str) -> String {
    let authority = Authority::new_root("td", NOW).unwrap();
    key.mint(&Claims::new("td", node, NOW, HOUR), authority.roots()).unwrap()
}

#[test]
fn a_token_tells_the_node_whom_to_believe_and_the_control_plane_which_node_it_is() {
    let key = Key::of(&[7; KEY]);
    let text = mint(&key, "a.b-c_1");
    let token = Token::parse(&format!("{text}\n")).unwrap();
    assert_eq!((token.node(), token.trust_domain()), ("a.b-c_1", "td"));
    assert_eq!((token.roots().len(), token.expires()), (1, later(HOUR)));
    for shown in [token.bearer(), &text] {
        assert_eq!(&key.verify(shown, "td", NOW).unwrap(), token.claims());
    }
    assert!(text.starts_with(token.bearer()) && token.bearer().len() < 200);
}

#[test]
fn a_token_is_good_to_its_last_second_and_no_longer() {
    let key = Key::of(&[7; KEY]);
    let text = mint(&key, "a");
    assert!(key.verify(&text, "td", later(HOUR)).is_ok());
    let expired = JoinError::Expired { node: "a".to_owned(), ago: 1 };
    assert_eq!(key.verify(&text, "td", later(HOUR + Duration::from_secs(1))), Err(expired));
}

#[test]
fn tokens_of_others_are_refused() {
    let key = Key::of(&[7; KEY]);
    let text = mint(&key, "a");
    assert_eq!(Key::of(&[8; KEY]).verify(&text, "td", NOW), Err(JoinError::Stranger));
    let other = JoinError::OtherTrustDomain("td".to_owned());
    assert_eq!(key.verify(&text, "other", NOW), Err(other));
    // The mac of one is not the mac of another.
    let (head, mac) = (mint(&key, "b"), Token::parse(&text).unwrap());
    let (head, _) = head.split_once('.').unwrap().1.split_once('.').unwrap();
    let mac = mac.bearer().rsplit_once('.').unwrap().1;
    let forged = format!("{VERSION}.{head}.{mac}");
    assert_eq!(key.verify(&forged, "td", NOW), Err(JoinError::Stranger));
}

#[test]
fn what_is_no_token_is_told() {
    let key = Key::of(&[7; KEY]);
    for text in ["", "culvert1", "culvert1..", "culvert2.AA.AA", "culvert1.AA.AA", "a.b.c"] {
        assert_eq!(key.verify(text, "td", NOW), Err(JoinError::Form), "{text}");
    }
    let long = "a".repeat(LONGEST_NAME + 1);
    for node in ["", "a b", "a/", "/b", "a/b/c", "a/node_b", &long] {
        let claims = Claims::new("td", node, NOW, HOUR);
        assert!(matches!(key.mint(&claims, &[]), Err(JoinError::Node(_))), "{node}");
    }
    let rootless = key.mint(&Claims::new("td", "a", NOW, HOUR), &[]).unwrap();
    assert_eq!(Token::parse(&rootless), Err(JoinError::Roots(NotTrust::NoRoots)));
}

#[test]
fn a_gateway_is_told_from_a_node() {
    let key = Key::of(&[7; KEY]);
    let whose = |node: &str| {
        let token = Token::parse(&mint(&key, node)).unwrap();
        let claims = key.verify(token.bearer(), "td", NOW).unwrap();
        format!("{:?}", claims.whose())
    };
    assert_eq!(whose("edge"), "Node(\"edge\")");
    assert_eq!(whose("shop/edge"), "Gateway { namespace: \"shop\", name: \"edge\" }");
}

#[test]
fn a_key_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/join-key");
    let text = mint(&Key::kept(&path).unwrap(), "a");
    assert!(Key::kept(&path).unwrap().verify(&text, "td", NOW).is_ok());
    std::fs::write(&path, "short").unwrap();
    assert!(matches!(Key::kept(&path), Err(KeyError::Content { .. })));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let key = Key::of(&[7; KEY]);
        for text in [text.clone(), format!("{VERSION}.{}.{text}", BASE64.encode(body))] {
            prop_assert!(key.verify(&text, "td", NOW).is_err());
            drop(Token::parse(&text));
        }
    }

    #[test]
    fn a_changed_letter_is_noticed(at in 0..150_usize, letter in "[A-Za-z0-9_-]") {
        let key = Key::of(&[7; KEY]);
        let text = mint(&key, "a");
        let bearer = Token::parse(&text).unwrap().bearer().to_owned();
        let at = at % bearer.len();
        let mut changed = bearer.clone();
        changed.replace_range(at..=at, &letter);
        prop_assume!(changed != bearer);
        prop_assert!(key.verify(&changed, "td", NOW).is_err());
    }
}

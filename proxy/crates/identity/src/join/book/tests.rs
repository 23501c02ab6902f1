use super::*;
use crate::ca::Authority;
use proptest::prelude::*;
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn at(second: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(second))
}

fn open(folder: &TempDir) -> Books {
    let [key, void] = ["key", "void"].map(|name| folder.path().join(name));
    Books::open(&key, &void).unwrap()
}

fn mint(books: &Books, node: &str, second: u64) -> String {
    let authority = Authority::new_root("td", at(second)).unwrap();
    let claims = Claims::new("td", node, at(second), DAY);
    books.view().pin().value.mint(claims, authority.roots()).unwrap()
}

fn verify(books: &Books, token: &str, second: u64) -> Result<Claims, JoinError> {
    books.view().pin().value.verify(token, "td", at(second))
}

#[test]
fn tokens_of_one_node_are_void_up_to_a_moment_and_for_all_replicas() {
    let folder = tempfile::tempdir().unwrap();
    let [books, replica] = [(); 2].map(|()| open(&folder));
    let [of_a, of_b] = ["a", "b"].map(|node| mint(&books, node, 1000));
    books.make_void("a", at(1000)).unwrap();
    replica.look().unwrap();
    for books in [books, replica, open(&folder)] {
        assert_eq!(verify(&books, &of_a, 1000), Err(JoinError::Void("a".to_owned())));
        assert!(verify(&books, &of_b, 1000).is_ok());
        // Also one of the same second.
        let again = mint(&books, "a", 1000);
        assert_eq!(verify(&books, &again, 1000).unwrap().node, "a");
    }
}

#[test]
fn a_token_that_does_not_say_when_it_was_made_can_be_made_void() {
    let folder = tempfile::tempdir().unwrap();
    let books = open(&folder);
    let old = mint(&books, "a", 0);
    assert!(verify(&books, &old, 1000).is_ok());
    books.make_void("a", at(1000)).unwrap();
    assert!(verify(&books, &old, 1000).is_err());
}

#[test]
fn without_its_key_no_token_is_good_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let books = open(&folder);
    let token = mint(&books, "a", 1000);
    fs::remove_file(folder.path().join("key")).unwrap();
    books.look().unwrap();
    assert_eq!(verify(&books, &token, 1000), Err(JoinError::Stranger));
    assert!(verify(&books, &mint(&books, "a", 1000), 1000).is_ok());
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let books = open(&folder);
    let token = mint(&books, "a", 1000);
    books.make_void("a", at(1000)).unwrap();
    for (name, text) in [("void", "a\n"), ("void", "a b\n"), ("void", "a/b/c 1\n"), ("key", "x")] {
        let path = folder.path().join(name);
        let before = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        assert!(books.look().is_err(), "{text}");
        assert!(verify(&books, &token, 1000).is_err(), "{text}");
        let [key, void] = ["key", "void"].map(|name| folder.path().join(name));
        assert!(Books::open(&key, &void).is_err(), "{text}");
        fs::write(&path, before).unwrap();
        books.look().unwrap();
    }
    assert!(matches!(books.make_void("a/b/c", at(1)), Err(BookError::Node(_))));
}

proptest! {
    #[test]
    fn a_token_is_void_when_it_is_no_younger_than_the_last_word(
        words in prop::collection::vec((0..3_u8, 0..50_u64), 0..10),
        node in 0..3_u8,
        made in 0..50_u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let books = open(&folder);
        let token = mint(&books, &node.to_string(), made);
        for (node, second) in &words {
            books.make_void(&node.to_string(), at(*second)).unwrap();
        }
        let is_void = words.iter().any(|(of, second)| *of == node && made <= *second);
        prop_assert_eq!(verify(&books, &token, made).is_err(), is_void);
    }
}

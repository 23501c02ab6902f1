use super::{NotARegex, Regex, Substitution};

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).unwrap().matches(text.as_bytes())
}

#[test]
fn the_whole_text_must_match() {
    assert!(matches("/a|/b", "/b"));
    assert!(!matches("/a|/b", "/bc"));
    assert!(!matches("/a", "/a\n"));
}

#[test]
fn classes_mean_ascii() {
    assert!(matches(r"\d+", "12"));
    assert!(!matches(r"\d", "٣"));
    assert!(matches(r"[\w-]+", "a-b_9"));
    assert!(!matches(r"\w", "é"));
    assert!(matches(r"é\b.*", "éa"));
}

#[test]
fn what_stands_for_itself_in_re2_does_so_here() {
    assert!(matches("/users/{id}", "/users/{id}"));
    assert!(matches("a{2}", "aa"));
    assert!(matches("a{1,}b{0,2}", "aaab"));
    assert!(matches("[[]", "["));
    assert!(matches("[a&&b]+", "a&b"));
    assert!(matches("[]a]+", "]a"));
    assert!(matches("[^]a]", "b"));
    assert!(matches("[[:alpha:]]+", "ab"));
    assert!(matches(r"\Qa.b\E.", "a.bc"));
    assert!(!matches(r"\Qa.b\E", "axb"));
    assert!(matches(r"[a\]b]+", "a]b"));
}

#[test]
fn a_broken_pattern_is_named_with_the_reason() {
    assert_eq!(
        Regex::new("a(b").unwrap_err().to_string(),
        r#""a(b" is not a regular expression: unclosed group"#
    );
    // RE2 has no look-around either.
    Regex::new("(?=a)").unwrap_err();
}

#[test]
fn substitution_replaces_every_match_by_groups() {
    let sub = Substitution::new("^/service/([^/]+)(/.*)$", r"\2/instance/\1").unwrap();
    assert_eq!(&*sub.apply(b"/service/foo/v1/api"), b"/v1/api/instance/foo");
    assert_eq!(&*sub.apply(b"/other"), b"/other");
    let all = Substitution::new("one", r"two\\").unwrap();
    assert_eq!(&*all.apply(b"/xxx/one/yyy/one/zzz"), br"/xxx/two\/yyy/two\/zzz");
}

#[test]
fn a_substitution_names_only_groups_that_exist() {
    assert_eq!(
        Substitution::new("a(b)", r"\2").unwrap_err(),
        NotARegex::Group { replacement: r"\2".into(), group: 2, groups: 1 }
    );
    assert_eq!(Substitution::new("a", r"\x").unwrap_err(), NotARegex::Replacement(r"\x".into()));
}

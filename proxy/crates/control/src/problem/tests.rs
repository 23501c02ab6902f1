//! How a problem is shown.
use super::*;

fn at(text: &str, line: u32, column: u32) -> Problem {
    Origin::new(&Source::new("a.yaml", text), Mark { line, column }).error("is wrong")
}

#[test]
fn shows_the_line_with_a_caret() {
    let problem = at("kind: Pod\n  nme: x\n", 2, 3).with_fix("did you mean `name`?");
    insta::assert_snapshot!(problem, @r"
    a.yaml:2:3: is wrong
     2 |   nme: x
       |   ^
       = did you mean `name`?
    ");
    insta::assert_snapshot!(problem.in_one_line(), @"a.yaml:2:3: is wrong; did you mean `name`?");
}

#[test]
fn a_long_line_is_shown_around_the_place() {
    let line = format!("{}x{}", "a".repeat(500), "b".repeat(500));
    let snippet = at(&line, 1, 501).snippet.unwrap();
    assert_eq!(snippet.text.chars().nth(snippet.caret), Some('x'));
    assert_eq!(snippet.text.len(), SNIPPET_WIDTH);
}

#[test]
fn a_place_beyond_the_text_has_no_snippet() {
    assert_eq!(at("one", 7, 1).snippet, None);
    insta::assert_snapshot!(at("one", 7, 1), @"a.yaml:7:1: is wrong");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    assert_eq!(at("a\u{1b}[2Jb", 1, 1).snippet.unwrap().text, "a [2Jb");
    let origin = Origin::new(&Source::new("a.yaml", ""), Mark::START);
    let problem = origin.error("unknown field `a\u{1b}[2J\nb`").with_fix("a\rb");
    insta::assert_snapshot!(problem, @r"
    a.yaml:1:1: unknown field `a [2J b`
       = a b
    ");
}

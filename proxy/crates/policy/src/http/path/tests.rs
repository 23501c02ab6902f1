use culvert_model::http::manager::{EscapedSlashes, PathOptions};
use proptest::prelude::*;

use super::{Normalized, normalize};

const ALL: PathOptions =
    PathOptions { normalize: true, merge_slashes: true, escaped_slashes: EscapedSlashes::Keep };

fn done(path: &str, options: PathOptions) -> String {
    match normalize(path, options) {
        Normalized::Kept => path.to_owned(),
        Normalized::Changed(new) => new,
        Normalized::Redirect(new) => format!("to {new}"),
        Normalized::Refused(why) => why.to_owned(),
    }
}

/// What an Envoy 1.40 makes of them.
#[test]
fn paths_become_what_envoy_makes_of_them() {
    for (path, wanted) in [
        ("//", "//"),
        ("///", "//"),
        ("/a//b//", "/a/b/"),
        ("/a/./b/../c", "/a/c"),
        ("/a/..", "/"),
        ("/../..", "/"),
        ("/%2e%2E/a", "/a"),
        ("/a%2fb", "/a%2fb"),
        ("/a\\b", "/a/b"),
        ("/%41%7e%2d%5f%2e", "/A~-_."),
        ("/%zz", "/%zz"),
        ("/a/%2e", "/a/"),
        ("/.a/..b/c.", "/.a/..b/c."),
        ("/a?b//../c", "/a?b//../c"),
        ("/a/%5c../b", "/a/%5c../b"),
        ("//a/..//b", "/b"),
        ("/%2F%5C", "/%2F%5C"),
        ("/x\"y", "/x%22y"),
        ("/x<y>^`{|}~", "/x%3Cy%3E%5E%60%7B%7C%7D~"),
        ("/x%3cy%7f%01", "/x%3cy%7f%01"),
        ("/a[1];b=!$&'()*+,:@", "/a[1];b=!$&'()*+,:@"),
        ("/a#b", "path_normalization_failed"),
        ("/a%00b", "path_normalization_failed"),
    ] {
        assert_eq!(done(path, ALL), wanted, "{path}");
    }
}

#[test]
fn escaped_slashes_are_kept_refused_redirected_or_undone() {
    let with = |escaped_slashes| PathOptions { escaped_slashes, ..ALL };
    let path = "/a%2f..%5Cb?c=%2f";
    assert_eq!(done(path, with(EscapedSlashes::Keep)), "/a%2f..%5Cb?c=%2f");
    assert_eq!(done(path, with(EscapedSlashes::Reject)), "path_normalization_failed");
    assert_eq!(done(path, with(EscapedSlashes::UnescapeAndRedirect)), "to /b?c=%2f");
    assert_eq!(done(path, with(EscapedSlashes::UnescapeAndForward)), "/b?c=%2f");
    assert_eq!(normalize("/a?b=%2f", with(EscapedSlashes::Reject)), Normalized::Kept);
}

#[test]
fn without_options_a_path_stays() {
    let none = PathOptions {
        normalize: false,
        merge_slashes: false,
        escaped_slashes: EscapedSlashes::Keep,
    };
    assert_eq!(normalize("//a/../%41\\", none), Normalized::Kept);
}

proptest! {
    #[test]
    fn what_is_normal_stays(path in "/[a-c./%2eE5cC\\\\{?]{0,24}") {
        let once = done(&path, ALL);
        prop_assume!(once != "path_normalization_failed");
        prop_assert!(once.starts_with('/'));
        let twice = done(&once, ALL);
        prop_assert_eq!(&twice, &once);
        let bare = once.split('?').next().unwrap();
        prop_assert!(bare.split('/').all(|segment| segment != "." && segment != ".."));
    }
}

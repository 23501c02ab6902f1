//! Host names that stand for several.

/// What both names stand for; `None` of `listener`: everything.
pub(super) fn both(listener: Option<&str>, route: &str) -> Option<String> {
    match listener {
        None => Some(route.to_owned()),
        Some(listener) if covers(listener, route) => Some(route.to_owned()),
        Some(listener) if covers(route, listener) => Some(listener.to_owned()),
        Some(_) => None,
    }
}

/// Whether everything that `narrow` stands for, `wide` does.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_prefix('*') {
        Some("") => true,
        // `*.a` stands for `b.a` and `c.b.a`, and not for `a`.
        Some(end) => narrow.ends_with(end) && narrow.len() > end.len(),
        None => wide == narrow,
    }
}

/// The names that cover a name, the closest first.
pub(super) fn closest_first<'a>(names: impl Iterator<Item = &'a str>, name: &str) -> Vec<&'a str> {
    let mut covering: Vec<&str> = names.filter(|wide| covers(wide, name)).collect();
    covering.sort_by_key(|wide| (wide.starts_with('*'), std::cmp::Reverse(wide.len())));
    covering
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_labels() {
        for (wide, narrow, expect) in [
            ("*", "a", true),
            ("*.a", "b.a", true),
            ("*.a", "c.b.a", true),
            ("*.a", "a", false),
            ("*.a", "ba", false),
            ("*.a", "*.b.a", true),
            ("*.b.a", "*.a", false),
            ("*.a", "*.a", true),
            ("a", "a", true),
            ("a", "*.a", false),
        ] {
            assert_eq!(covers(wide, narrow), expect, "{wide} {narrow}");
        }
    }

    #[test]
    fn what_is_narrower_is_what_both_mean() {
        assert_eq!(both(None, "a"), Some("a".into()));
        assert_eq!(both(Some("*.a"), "b.a"), Some("b.a".into()));
        assert_eq!(both(Some("b.a"), "*.a"), Some("b.a".into()));
        assert_eq!(both(Some("b.a"), "c.a"), None);
        assert_eq!(
            closest_first(["*", "*.a", "b.a", "*.b.a"].into_iter(), "b.a"),
            ["b.a", "*.a", "*"]
        );
    }
}

//! What was probably meant.

/// The candidate that `written` is a likely slip of the keyboard for.
pub(crate) fn closest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let allowed = match written.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let near = candidates.iter().map(|&candidate| {
        let far = distance(&written.to_lowercase(), &candidate.to_lowercase());
        (far, candidate)
    });
    near.filter(|&(far, _)| far <= allowed).min().map(|(_, candidate)| candidate)
}

/// Insertions, deletions and replacements from `a` to `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = (diagonal + usize::from(from != to)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (a, b, expect) in
            [("", "", 0), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), expect, "{a} {b}");
            assert_eq!(distance(b, a), expect, "{b} {a}");
        }
    }

    #[test]
    fn guesses_slips_and_nothing_else() {
        let fields = ["nodeName", "name", "hostNetwork"];
        assert_eq!(closest("nodename", &fields), Some("nodeName"));
        assert_eq!(closest("nam", &fields), Some("name"));
        assert_eq!(closest("hostNetwrok", &fields), Some("hostNetwork"));
        assert_eq!(closest("replicas", &fields), None);
        assert_eq!(closest("x", &fields), None);
    }
}

//! What somebody may have meant.

/// The one of `names` that is most like `given`, if one is like it at all.
pub(super) fn similar<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = names.map(|name| (distance(given, name), name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= given.chars().count().max(3) / 3).then_some(name)
}

/// Letters to change, add or take away; case and underscores cost nothing.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut before: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut now = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let changed = before[j] + usize::from(x != y);
            now.push(changed.min(before[j + 1] + 1).min(now[j] + 1));
        }
        before = now;
    }
    before[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_something_else_is_not() {
        let names = ["connect_timeout", "name", "load_assignment"];
        assert_eq!(similar("conect_timeout", names.into_iter()), Some("connect_timeout"));
        assert_eq!(similar("loadAssignement", names.into_iter()), Some("load_assignment"));
        assert_eq!(similar("health_checks", names.into_iter()), None);
    }
}

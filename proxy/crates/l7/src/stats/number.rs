//! Numbers with a point, as C++ prints them: six significant digits, no zeros at the end.

/// `0.5`, `1`, `1.8e+06`.
pub(super) fn short(number: f64) -> String {
    if number.abs() < 1e6 {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, power)) => format!("{digits}e+{power:0>2}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn ends_of_buckets_are_written_as_envoy_does() {
        let ends = [0.5, 1.0, 600_000.0, 1_800_000.0, 3_600_000.0].map(short);
        assert_eq!(ends, ["0.5", "1", "600000", "1.8e+06", "3.6e+06"]);
    }
}

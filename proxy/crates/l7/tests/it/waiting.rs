//! Waiting for what changes without telling anybody: files that a thread writes, numbers.
use std::{fs, path::Path, time::Duration};

/// Looks again and again, until it is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The lines of a file, once there are so many.
pub(crate) async fn lines(path: &Path, wanted: usize) -> Vec<String> {
    lines_when(path, |lines| wanted <= lines.len()).await
}

/// The lines of a file, once they are so.
pub(crate) async fn lines_when(path: &Path, are_so: impl Fn(&[String]) -> bool) -> Vec<String> {
    let read = || -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    until(|| are_so(&read())).await;
    read()
}

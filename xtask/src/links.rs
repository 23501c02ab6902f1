//! Links between the repository's documents lead somewhere.
use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// Refuses a relative link of a Markdown file to a file that is not there.
pub(crate) fn run() -> Result<()> {
    let mut broken = Vec::new();
    for file in workspace::files()? {
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let path = workspace::root().join(&file);
        let text = fs::read_to_string(&path).with_context(|| file.display().to_string())?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        for target in targets(&text).filter(|target| !folder.join(target).exists()) {
            broken.push(format!("{}: {target} is not there", file.display()));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    for line in &broken {
        println!("{line}");
    }
    bail!("{} lead nowhere", broken.len())
}

/// What `[…](target)` points at, without its anchor, where it is a file.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0))
        .filter(|target| !target.contains("://"))
        .map(|target| target.split_once('#').map_or(target, |(file, _)| file))
        .filter(|target| !target.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](docs/a.md), [b](https://example.com) and [c](b.md#part), [d](#here) (e)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["docs/a.md", "b.md"]);
    }
}

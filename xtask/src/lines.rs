//! `cargo xtask lines`: a file that has grown past reading in one go is split by stage or by kind.
use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{codegen, workspace};

/// More lines than this and nobody reads the file as a whole.
const LIMIT: usize = 400;

/// Prints every Rust file over the limit.
pub(crate) fn run() -> Result<()> {
    let found = too_long()?;
    if found.is_empty() {
        return Ok(());
    }
    for (file, lines) in &found {
        println!("{lines:>6} {}", file.display());
    }
    bail!("{} over {LIMIT} lines: split by stage or kind", files(found.len()))
}

/// Rust files over the limit, longest first.
fn too_long() -> Result<Vec<(PathBuf, usize)>> {
    let mut found = Vec::new();
    for file in workspace::files()? {
        if file.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(workspace::root().join(&file))
            .with_context(|| file.display().to_string())?;
        if text.starts_with(codegen::MARK) {
            continue;
        }
        let lines = text.lines().count();
        if lines > LIMIT {
            found.push((file, lines));
        }
    }
    found.sort_by_key(|&(_, lines)| std::cmp::Reverse(lines));
    Ok(found)
}

fn files(count: usize) -> String {
    if count == 1 { "1 file is".to_owned() } else { format!("{count} files are") }
}

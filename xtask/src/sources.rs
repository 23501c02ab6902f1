//! What every committed file must hold to, read from the files alone.
use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::workspace;

/// Split, so that this file does not name itself.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders that exist on one machine only.
const MACHINE: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/private", "/tmp/"),
];

/// Refuses a mark of unfinished work that names no issue.
pub(crate) fn bare_marks() -> Result<()> {
    report(&scan(|name, text| {
        let named = |line: &str, mark: &str| line.contains(&format!("{mark}(#"));
        let word = |line: &str, mark: &str| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == mark)
        };
        let rust = Path::new(name).extension().is_some_and(|extension| extension == "rs");
        if !rust {
            return Vec::new();
        }
        lines_where(text, |line| MARKS.iter().any(|mark| word(line, mark) && !named(line, mark)))
    })?)
}

/// Refuses paths of one machine in any file, the kernel objects included.
pub(crate) fn machine_paths() -> Result<()> {
    report(&scan(|_, text| lines_where(text, names_machine))?)
}

/// Refuses a workspace member that does not take the workspace's lints.
pub(crate) fn members_take_lints() -> Result<()> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        manifest_path: String,
    }
    let Metadata { packages } = serde_json::from_str(&workspace::metadata()?)?;
    let mut found = Vec::new();
    for Package { name, manifest_path } in packages {
        let manifest = fs::read_to_string(&manifest_path).with_context(|| manifest_path.clone())?;
        if !takes_lints(&manifest) {
            found.push(format!("{name}: its Cargo.toml lacks `[lints] workspace = true`"));
        }
    }
    report(&found)
}

fn takes_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|line| line == "[lints]")
        && lines
            .take_while(|line| !line.starts_with('['))
            .any(|line| line.replace(' ', "") == "workspace=true")
}

/// Whether a path of a person's machine stands in `line`, and not merely inside a longer path.
fn names_machine(line: &str) -> bool {
    MACHINE.iter().any(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line.get(..at).and_then(|start| start.chars().next_back());
            before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '_' | '-' | '}'))
        })
    })
}

/// `name:line: text` for every line of every file that `find` returns.
fn scan(find: impl Fn(&str, &str) -> Vec<(usize, String)>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in workspace::files()? {
        let bytes =
            fs::read(workspace::root().join(&file)).with_context(|| file.display().to_string())?;
        let name = file.to_string_lossy();
        for (line, text) in find(&name, &String::from_utf8_lossy(&bytes)) {
            let shown: String = text.trim().chars().filter(|c| !c.is_control()).take(80).collect();
            found.push(format!("{name}:{line}: {shown}"));
        }
    }
    Ok(found)
}

fn lines_where(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<(usize, String)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| wanted(line))
        .map(|(at, line)| (at + 1, line.to_owned()))
        .collect()
}

fn report(found: &[String]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    for line in found {
        println!("{line}");
    }
    bail!("{} found", found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_path_is_told_from_a_part_of_another() {
        for path in MACHINE {
            assert!(names_machine(&format!("in {path}x")), "{path}");
            assert!(names_machine(&format!("{path}x")), "{path}");
            assert!(names_machine(&format!("\"{path}x\"")), "{path}");
            assert!(!names_machine(&format!("/sys/fs{path}x")), "{path}");
            assert!(!names_machine(&format!("${{base}}{path}x")), "{path}");
        }
        assert!(!names_machine("/run/culvert/node"));
    }

    #[test]
    fn lints_are_taken_in_their_own_table() {
        assert!(takes_lints("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_lints(
            "[package]\nversion.workspace = true\n[lints]\n[deps]\nworkspace = true"
        ));
        assert!(!takes_lints("[package]\nname = \"a\""));
    }
}

//! The manifests of `deploy/manifests`: the chart as it is rendered, for those who use no helm.
use std::fs;

use anyhow::{Context as _, Result, bail};

use super::helm;
use crate::workspace;

const FOLDER: &str = "deploy/manifests";

/// First lines of everything written here.
const HEAD: &str = "\
# Written by `cargo xtask chart` from deploy/helm/culvert: change that instead.
# namespace.yaml comes first.
";

/// A file, the values that make it, and the kinds that are in it; none: all.
const FILES: [(&str, &[&str], &[&str]); 2] = [
    ("culvert.yaml", &[], &[]),
    ("uninstall/nodes.yaml", &["node.uninstall=true"], &["DaemonSet"]),
];

/// Writes them anew.
pub(super) fn write() -> Result<()> {
    for (name, text) in fresh()? {
        let path = workspace::root().join(FOLDER).join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Refuses a committed one that is not as the chart says.
pub(super) fn compare() -> Result<()> {
    let mut stale = Vec::new();
    for (name, text) in fresh()? {
        let path = workspace::root().join(FOLDER).join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            stale.push(format!("{FOLDER}/{name}"));
        }
    }
    if !stale.is_empty() {
        bail!("not as the chart says: {}; run `cargo xtask chart`", stale.join(", "));
    }
    Ok(())
}

fn fresh() -> Result<Vec<(&'static str, String)>> {
    let rendered = FILES.iter().map(|(name, values, kinds)| {
        let text = helm::render(values)?;
        Ok((*name, format!("{HEAD}{}", only(&text, kinds))))
    });
    rendered.collect()
}

/// The documents of these kinds, or all.
fn only(text: &str, kinds: &[&str]) -> String {
    let documents = text.split("---\n").filter(|document| !document.trim().is_empty());
    let wanted = |document: &&str| {
        let kind = document.lines().find_map(|line| line.strip_prefix("kind: "));
        kinds.is_empty() || kind.is_some_and(|kind| kinds.contains(&kind))
    };
    documents.filter(wanted).map(|document| format!("---\n{document}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_picked_by_their_kind() {
        let text = "---\n# of a\nkind: A\n---\nkind: B\nspec:\n  kind: A\n";
        assert_eq!(only(text, &["A"]), "---\n# of a\nkind: A\n");
        assert_eq!(only(text, &[]), text);
    }
}

//! Where ours is meant to differ, or does not do something yet: `known/CASE.diff`, with the reasons in
//! lines that begin with `#`. Any other difference fails, and so does one that is gone.
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// `CULVERT_GATEWAY_ACCEPT`: what differs now is what is known.
pub(super) fn is_accepting() -> bool {
    env::var_os("CULVERT_GATEWAY_ACCEPT").is_some()
}

/// The differences that are known of a case, without the reasons.
pub(super) fn read(name: &str) -> String {
    let text = fs::read_to_string(file(name)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.join("\n")
}

/// Writes them; reasons that are there stay.
pub(super) fn write(name: &str, differences: &str) {
    let file = file(name);
    let before = fs::read_to_string(&file).unwrap_or_default();
    drop(fs::remove_file(&file));
    if differences.is_empty() {
        return;
    }
    let mut text = String::new();
    for reason in before.lines().filter(|line| line.starts_with('#')) {
        text.push_str(reason);
        text.push('\n');
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text + differences + "\n").unwrap();
}

fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway/known");
    folder.join(format!("{}.diff", name.replace("::", ".")))
}

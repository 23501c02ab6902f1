//! Which tests there are, and running some: a case is a test, whose name is its file's.
use crate::{compare, grids, stories};
use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
};

type Test = (String, Box<dyn Fn()>);

/// Lists or runs tests as the harness of the compiler does, as far as nextest and people ask.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        if !has("--ignored") {
            all().iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with("--")).collect();
    let wanted = |name: &str| {
        words.is_empty()
            || words.iter().any(|word| {
                if has("--exact") { name == word.as_str() } else { name.contains(word.as_str()) }
            })
    };
    let mut failed = Vec::new();
    for (name, test) in all().into_iter().filter(|(name, _)| wanted(name)) {
        let passed = panic::catch_unwind(AssertUnwindSafe(test)).is_ok();
        println!("{name}: {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("{} failed: {}", failed.len(), failed.join(" "));
    ExitCode::FAILURE
}

/// Cases, grids and stories.
fn all() -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::new();
    for (name, file) in cases() {
        tests.push((name.clone(), Box::new(move || compare::file(&name, &file))));
    }
    for (name, make) in grids::ALL {
        tests.push((format!("grid::{name}"), Box::new(move || compare::case(name, &make()))));
    }
    for (name, story) in stories::ALL {
        tests.push(((*name).to_owned(), Box::new(story)));
    }
    tests
}

/// `row::name` and file of every case.
fn cases() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway/cases");
    let mut found = Vec::new();
    for row in entries(&folder) {
        for file in entries(&row).into_iter().filter(|file| file.extension().is_some()) {
            let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
            found.push((format!("{}::{}", stem(&row), stem(&file)), file));
        }
    }
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

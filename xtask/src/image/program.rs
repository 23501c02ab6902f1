//! The binary, and the shared libraries that it needs.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{process, workspace};

/// A program, read.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) bytes: Vec<u8>,
    /// By the path at which its loader looks for it; none when it is static.
    pub(super) libraries: Vec<(PathBuf, Vec<u8>)>,
}

/// Builds the release: static, because the CNI plugin is the same binary and runs among the
/// libraries of a host that nobody knows.
pub(super) fn release() -> Result<Program> {
    process::run(
        workspace::cargo()
            .args(["rustc", "--release", "--locked", "-p", "culvert", "--bin", "culvert"])
            .args(["--", "-C", "target-feature=+crt-static", "-C", "strip=debuginfo"]),
    )?;
    let program = Program::of(&workspace::target().join("release/culvert"))?;
    if let Some((library, _)) = program.libraries.first() {
        bail!("the release is not static: it asks for {}", library.display());
    }
    Ok(program)
}

impl Program {
    /// Reads a program and what its loader would load.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        let Some(loader) = interpreter(&bytes)? else {
            return Ok(Self { bytes, libraries: Vec::new() });
        };
        let listed = process::stdout(Command::new(&loader).arg("--list").arg(path))?;
        let mut paths = needed(&listed)?;
        paths.push(loader);
        paths.sort();
        paths.dedup();
        let libraries: Result<_> =
            paths.into_iter().map(|path| Ok((path.clone(), read(&path)?))).collect();
        Ok(Self { bytes, libraries: libraries? })
    }
}

/// The loader that the program names (`PT_INTERP`, elf(5)); none names none.
fn interpreter(elf: &[u8]) -> Result<Option<PathBuf>> {
    const PT_INTERP: u32 = 3;
    let headers = || {
        if !elf.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let (at, size, count) = (u64_at(elf, 0x20)?, u16_at(elf, 0x36)?, u16_at(elf, 0x38)?);
        let places = (0..usize::from(count)).map(move |n| at + n * usize::from(size));
        Some(places)
    };
    let headers = headers().context("the program is no 64-bit little-endian ELF file")?;
    for at in headers {
        if u32_at(elf, at) != Some(PT_INTERP) {
            continue;
        }
        let place = || Some(u64_at(elf, at + 8)?..u64_at(elf, at + 8)? + u64_at(elf, at + 0x20)?);
        let name =
            place().and_then(|place| elf.get(place)).context("its interpreter is cut off")?;
        let name = std::str::from_utf8(name)?.trim_end_matches('\0');
        return Ok(Some(name.into()));
    }
    Ok(None)
}

/// The paths in what the loader lists: `libc.so.6 => /lib/libc.so.6 (0x…)`.
fn needed(listed: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for line in listed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let path = match line.split_once(" => ") {
            Some((name, found)) if found.starts_with("not found") => bail!("{name} is not found"),
            Some((_, found)) => found,
            // The kernel's own, or the loader itself.
            None => line,
        };
        let path = path.split(" (").next().unwrap_or(path);
        if path.starts_with('/') {
            paths.push(path.into());
        }
    }
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)?;
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_this_program_are_found() {
        let program = Program::of(&std::env::current_exe().unwrap()).unwrap();
        let names: Vec<_> =
            program.libraries.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert!(names.iter().any(|name| name.contains("libc.so")), "{names:?}");
        assert!(names.iter().any(|name| name.contains("/ld-linux")), "{names:?}");
        assert!(names.iter().all(|name| name.starts_with('/')), "{names:?}");
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn a_library_that_is_missing_is_named() {
        let listed = "\tlibx.so.1 => not found\n";
        assert_eq!(needed(listed).unwrap_err().to_string(), "libx.so.1 is not found");
    }

    #[test]
    fn a_script_is_no_program() {
        interpreter(b"#!/bin/sh\n").unwrap_err();
        interpreter(b"\x7fELF\x02\x01").unwrap_err();
    }
}

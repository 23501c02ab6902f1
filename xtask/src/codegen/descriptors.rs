//! What Envoy's messages look like: taken out of the crate that has their types.
//!
//! `envoy-types` ships a set of descriptors and does not export it; comments are left out.
use std::{fs, io::Write as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};
use serde::Deserialize;

use crate::{process, workspace};

const CRATE: &str = "envoy-types";

/// The number of `source_code_info` in `FileDescriptorProto`, and of `file` in the set.
const SOURCE_CODE_INFO: u64 = 9;
const FILE: u64 = 1;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

/// The set as it is committed: without comments, compressed.
pub(crate) fn compressed() -> Result<Vec<u8>> {
    let set = fs::read(find()?).context("the descriptors of envoy-types")?;
    let mut out = Vec::new();
    let mut rest = &*set;
    while let Some(field) = Field::first(rest)? {
        if field.number == FILE {
            let file = without_comments(field.payload)?;
            put(&mut out, FILE << 3 | 2)?;
            put(&mut out, u64::try_from(file.len())?)?;
            out.extend(file);
        }
        rest = field.rest;
    }
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packed.write_all(&out)?;
    Ok(packed.finish()?)
}

fn find() -> Result<PathBuf> {
    let listed = process::stdout(
        Command::new("cargo")
            .args(["metadata", "--format-version", "1", "--manifest-path"])
            .arg(workspace::root().join("Cargo.toml")),
    )?;
    let metadata: Metadata = serde_json::from_str(&listed)?;
    let found = metadata.packages.into_iter().find(|package| package.name == CRATE);
    let manifest = found.context("envoy-types is no dependency")?.manifest_path;
    let home = manifest.parent().context("a manifest is in a folder")?;
    Ok(home.join("src/generated/types.bin"))
}

fn without_comments(file: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = file;
    while let Some(field) = Field::first(rest)? {
        if field.number != SOURCE_CODE_INFO {
            out.extend_from_slice(field.whole);
        }
        rest = field.rest;
    }
    Ok(out)
}

/// A field of a message, as it is on the wire.
struct Field<'a> {
    number: u64,
    /// With its key and length.
    whole: &'a [u8],
    /// Empty of a number.
    payload: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Field<'a> {
    fn first(bytes: &'a [u8]) -> Result<Option<Self>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (key, after) = varint(bytes)?;
        let (number, wire) = (key >> 3, key & 7);
        let (value, after) = varint(after)?;
        let length = match wire {
            0 => 0,
            2 => usize::try_from(value)?,
            other => bail!("field {number} of a descriptor has wire type {other}"),
        };
        let (payload, rest) = after.split_at_checked(length).context("cut off")?;
        let whole = bytes.get(..bytes.len() - rest.len()).context("cut off")?;
        Ok(Some(Self { number, whole, payload, rest }))
    }
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(i + 1..).unwrap_or_default()));
        }
    }
    bail!("cut off")
}

fn put(out: &mut Vec<u8>, mut value: u64) -> Result<()> {
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f)? | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_left_out_and_numbers_kept() {
        // name: "a"; public_dependency: 1; source_code_info: some; syntax: "p"
        let file = [0x0a, 1, b'a', 0x50, 1, 0x4a, 2, 0x0a, 0, 0x62, 1, b'p'];
        let without = without_comments(&file).expect("a message");
        assert_eq!(without, [0x0a, 1, b'a', 0x50, 1, 0x62, 1, b'p']);
    }
}

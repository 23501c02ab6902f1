//! Type names the kernel accepts.
//!
//! BTF is the kernel's type information; it refuses (`EINVAL` when the first map is made) names
//! that are not C identifiers, and pointers that have a name. Rust has `Array<u64, 1>` and
//! `*mut T`. Names are changed in place, at the same length, so no offset moves.
use anyhow::{Context as _, Result, bail};

use super::elf::{Elf, u32_at, word_at};

const HEADER: usize = 12;
const PTR: u32 = 2;
const VAR: u32 = 14;
const DATASEC: u32 = 15;

/// Makes every name in the object's `.BTF` section valid.
pub(super) fn make_names_valid(object: &mut [u8]) -> Result<()> {
    let (start, _) = Elf::parse(object)?.section(".BTF").context("no .BTF section")?;
    let body = start + word_at(object, start + 4)?;
    let mut at = body + word_at(object, start + 8)?;
    let end = at + word_at(object, start + 12)?;
    let strings = body + word_at(object, start + 16)?;
    while at < end {
        let name = word_at(object, at)?;
        let info = u32_at(object, at + 4)?;
        let (kind, members) = ((info >> 24) & 0x1f, usize::try_from(info & 0xffff)?);
        match kind {
            PTR => object.get_mut(at..at + 4).context("type outside the file")?.fill(0),
            // The name of a section, which may begin with a dot.
            DATASEC => {}
            _ if name != 0 => make_valid(object, strings + name, kind == VAR)?,
            _ => {}
        }
        at += HEADER + trailer(kind, members)?;
    }
    Ok(())
}

/// How long the part of a type is that depends on its kind.
fn trailer(kind: u32, members: usize) -> Result<usize> {
    Ok(match kind {
        // int, variable, declaration tag
        1 | VAR | 17 => 4,
        // array
        3 => 12,
        // struct, union, section, 64-bit enum
        4 | 5 | DATASEC | 19 => 12 * members,
        // enum, function prototype
        6 | 13 => 8 * members,
        // pointer, forward, typedef, volatile, const, restrict, function, float, type tag
        PTR | 7..=12 | 16 | 18 => 0,
        other => bail!("BTF kind {other} is unknown here"),
    })
}

/// Underscores for what a C identifier may not have; a variable's name may have dots.
fn make_valid(object: &mut [u8], at: usize, dots: bool) -> Result<()> {
    let name = object.get_mut(at..).context("name outside the file")?;
    for byte in name.iter_mut().take_while(|byte| **byte != 0) {
        let valid = byte.is_ascii_alphanumeric() || *byte == b'_' || (dots && *byte == b'.');
        if !valid {
            *byte = b'_';
        }
    }
    Ok(())
}

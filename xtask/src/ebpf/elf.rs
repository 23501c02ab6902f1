//! As much of an ELF64 little-endian object as the other files need.
use anyhow::{Context as _, Result, ensure};

/// Every BPF instruction; a 64-bit constant takes two.
const INSTRUCTION: u64 = 8;
const STT_FUNC: u8 = 2;
const SYMBOL: usize = 24;

/// A section's place in the file.
pub(super) struct Section {
    name: String,
    offset: usize,
    size: usize,
}

/// An object in memory.
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    sections: Vec<Section>,
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self> {
        ensure!(bytes.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian object");
        let headers = usize_at(bytes, 0x28)?;
        let size = usize::from(u16_at(bytes, 0x3a)?);
        let names = headers + usize::from(u16_at(bytes, 0x3e)?) * size;
        let names = usize_at(bytes, names + 0x18)?;
        let mut sections = Vec::new();
        for index in 0..usize::from(u16_at(bytes, 0x3c)?) {
            let header = headers + index * size;
            sections.push(Section {
                name: text_at(bytes, names + word_at(bytes, header)?)?,
                offset: usize_at(bytes, header + 0x18)?,
                size: usize_at(bytes, header + 0x20)?,
            });
        }
        Ok(Self { bytes, sections })
    }

    /// Where the section called `name` is: offset and size.
    pub(super) fn section(&self, name: &str) -> Option<(usize, usize)> {
        self.sections.iter().find(|s| s.name == name).map(|s| (s.offset, s.size))
    }

    /// Functions and their length in instructions, by name.
    pub(super) fn functions(&self) -> Result<Vec<(String, u64)>> {
        let (symbols, size) = self.section(".symtab").context("no symbols")?;
        let (names, _) = self.section(".strtab").context("no symbol names")?;
        let mut functions = Vec::new();
        for symbol in (symbols..symbols + size).step_by(SYMBOL) {
            let info = *self.bytes.get(symbol + 4).context("symbol outside the file")?;
            if info & 0xf == STT_FUNC {
                let name = text_at(self.bytes, names + word_at(self.bytes, symbol)?)?;
                functions.push((name, u64_at(self.bytes, symbol + 0x10)? / INSTRUCTION));
            }
        }
        functions.sort();
        Ok(functions)
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(array_at(bytes, at)?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(array_at(bytes, at)?))
}

/// A 32-bit offset or size.
pub(super) fn word_at(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(usize::try_from(u32_at(bytes, at)?)?)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    Ok(u64::from_le_bytes(array_at(bytes, at)?))
}

fn usize_at(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(usize::try_from(u64_at(bytes, at)?)?)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let slice = bytes.get(at..at + N).context("offset outside the file")?;
    Ok(slice.try_into()?)
}

fn text_at(bytes: &[u8], at: usize) -> Result<String> {
    let rest = bytes.get(at..).context("name outside the file")?;
    let end = rest.iter().position(|b| *b == 0).context("unterminated name")?;
    Ok(String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned())
}

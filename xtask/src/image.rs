//! `cargo xtask image`: the container image of a release, as a tar that `ctr images import` takes.
//!
//! No container engine: an image is a tar of a file system, described by three JSON files. The same
//! commit, built by the same compiler in the same folder, gives the same bytes.
//!
//! Reading order: [`program`] (the binary and the libraries it needs), [`origin`] (which commit, and
//! when), [`bill`] (what it is made of), [`tree`] (the file system), [`layout`] (the image), [`trial`].
mod bill;
mod layout;
mod origin;
mod program;
mod tree;
mod trial;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::workspace;
use layout::Image;
use origin::Origin;
use program::Program;
use tree::Tree;

/// Where it is in the image: the entry point.
const PROGRAM: &str = "usr/local/bin/culvert";

/// Who runs it, where the pod does not say otherwise: nobody on the machine.
const USER: u32 = 65532;

/// What to make.
#[derive(Debug, Args)]
pub(crate) struct MakeImage {
    /// The tar to write [default: `target/image/culvert-VERSION-ARCH.tar`]; its bill of materials is
    /// written beside it, with the ending .cdx.json.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The image's name [default: localhost/culvert:VERSION].
    #[arg(long, value_name = "NAME:TAG")]
    tag: Option<String>,
    /// A program to take as it is, with the libraries it needs, instead of building a release: for
    /// tests.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

impl MakeImage {
    /// Builds, packs, tries out.
    pub(crate) fn run(self) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let program = match &self.program {
            Some(path) => Program::of(path)?,
            None => program::release()?,
        };
        let origin = Origin::of_head()?;
        let bill = bill::write(version, &origin, &program)?;
        let tree = Tree::new(&program, &bill);
        let tag = self.tag.unwrap_or_else(|| format!("localhost/culvert:{version}"));
        let image = Image::new(&tree, &tag, version, &origin)?;
        let out = self.out.unwrap_or_else(|| {
            let arch = layout::architecture();
            workspace::target().join(format!("image/culvert-{version}-{arch}.tar"))
        });
        write(&out, &image.tar)?;
        let beside = out.with_extension("cdx.json");
        write(&beside, bill.as_bytes())?;
        trial::run(&image.layer, version)?;
        println!("{tag}  {}  {}", image.digest, out.display());
        println!("bill of materials  {}", beside.display());
        Ok(())
    }
}

/// Makes the image that tests of clusters install, of a program as it is.
pub(crate) fn for_tests(program: &Path) -> Result<()> {
    let out = Some(workspace::target().join("image/test.tar"));
    MakeImage { out, tag: None, program: Some(program.to_owned()) }.run()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

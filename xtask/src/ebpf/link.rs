//! The linker of the kernel programs, called by rustc.
//!
//! A BPF object is one module: everything is inlined into the programs, and what they do not reach
//! must not be there, since a loader creates every map that it finds. So the roots are what the
//! program's own crate defines (its entry points and the licence); of the library's maps and
//! settings, those that the roots reach keep their names, and the others go.
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::process;

/// Links `args`, rustc's for a linker of the flavour `bpf`.
///
/// # Errors
///
/// What the LLVM tools say, or that `args` lack something.
pub(crate) fn link(args: &[String]) -> Result<()> {
    let tools = PathBuf::from(env::var_os("XTASK_LINKER").context("no tools named")?);
    let request = Request::parse(args)?;
    let work = request.output.with_extension("link");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    let exports: BTreeSet<_> =
        fs::read_to_string(&request.exports)?.lines().map(str::to_owned).collect();

    let whole = work.join("whole.bc");
    let objects = unpack(&tools, &request, &work)?;
    process::run(Command::new(tools.join("llvm-link")).args(&objects).arg("-o").arg(&whole))?;

    let roots = &defined(&tools, &request.objects)? & &exports;
    let reached = work.join("reached.bc");
    keep(&tools, &whole, &reached, &roots, "internalize,globaldce")?;
    let kept = &defined(&tools, std::slice::from_ref(&reached))? & &exports;

    let optimised = work.join("optimised.bc");
    keep(&tools, &whole, &optimised, &kept, "internalize,globaldce,default<O2>,globaldce")?;
    process::run(
        Command::new(tools.join("llc"))
            // v3: 32-bit registers and jumps, in every kernel since 5.1.
            .args(["-march=bpfel", "-mcpu=v3", "-filetype=obj", "-O2"])
            .arg(&optimised)
            .arg("-o")
            .arg(&request.output),
    )?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// What rustc asks for.
struct Request {
    output: PathBuf,
    /// The file that lists the names a linker would normally export.
    exports: PathBuf,
    /// Of the program's own crate.
    objects: Vec<PathBuf>,
    /// Of the crates it uses.
    archives: Vec<PathBuf>,
}

impl Request {
    fn parse(args: &[String]) -> Result<Self> {
        let (mut output, mut exports) = (None, None);
        let (mut objects, mut archives) = (Vec::new(), Vec::new());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-o" => output = args.next(),
                "--export-symbols" => exports = args.next(),
                "-L" | "-O" | "--cpu" | "--cpu-features" | "--target" => {
                    args.next();
                }
                // Only tells a native linker what to export.
                name if name.ends_with("/symbols.o") => {}
                name if name.ends_with(".rlib") => archives.push(PathBuf::from(name)),
                name if name.ends_with(".o") || name.ends_with(".bc") => {
                    objects.push(PathBuf::from(name));
                }
                _ => {}
            }
        }
        Ok(Self {
            output: PathBuf::from(output.context("rustc names no output")?),
            exports: PathBuf::from(exports.context("rustc lists no exports")?),
            objects,
            archives,
        })
    }
}

/// Every module to link, in an order that does not depend on the machine.
fn unpack(tools: &Path, request: &Request, work: &Path) -> Result<Vec<PathBuf>> {
    let mut modules = request.objects.clone();
    for (index, archive) in request.archives.iter().enumerate() {
        let into = work.join(index.to_string());
        fs::create_dir(&into)?;
        process::run(
            Command::new(tools.join("llvm-ar"))
                .arg("x")
                .arg(archive.canonicalize()?)
                .current_dir(&into),
        )?;
        let mut members = Vec::new();
        for member in fs::read_dir(&into)? {
            let member = member?.path();
            if member.extension().is_some_and(|extension| extension == "o") {
                members.push(member);
            }
        }
        members.sort();
        modules.append(&mut members);
    }
    Ok(modules)
}

/// The names that `modules` define.
fn defined(tools: &Path, modules: &[PathBuf]) -> Result<BTreeSet<String>> {
    let listed = process::stdout(
        Command::new(tools.join("llvm-nm"))
            .args(["--defined-only", "--format=just-symbols", "--quiet"])
            .args(modules),
    )?;
    Ok(listed.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Runs `passes` over `from` with only `names` visible from outside.
fn keep(
    tools: &Path,
    from: &Path,
    to: &Path,
    names: &BTreeSet<String>,
    passes: &str,
) -> Result<()> {
    let list = to.with_extension("names");
    let lines: Vec<&str> = names.iter().map(String::as_str).collect();
    fs::write(&list, lines.join("\n"))?;
    process::run(
        Command::new(tools.join("opt"))
            .arg(format!("-passes={passes}"))
            .arg(format!("-internalize-public-api-file={}", list.display()))
            .arg(from)
            .arg("-o")
            .arg(to),
    )
}

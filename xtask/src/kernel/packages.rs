//! Debian's kernels, from the mirror that this machine already uses.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{process, workspace};

/// The word for the newest kernel that Debian has.
pub(super) const NEWEST: &str = "newest";

/// Suites of Debian with kernels of different age; the first column says which archive has them.
const SUITES: &[(Archive, &str)] = &[
    (Archive::Security, "bullseye-security"),
    (Archive::Security, "bookworm-security"),
    (Archive::Security, "trixie-security"),
    (Archive::Main, "sid"),
];

/// The flavour without drivers for real hardware: a third of the size.
const FLAVOUR: &str = "-cloud-amd64";

/// A kernel, unpacked.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As `uname -r` will say.
    pub(super) release: String,
    /// Where the packages are unpacked; holds the modules.
    pub(super) folder: PathBuf,
    pub(super) vmlinuz: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Archive {
    Main,
    Security,
}

/// The newest kernel of a series such as `6.1`, downloaded when it is not there.
pub(super) fn kernel(series: &str) -> Result<Kernel> {
    let home = workspace::target().join("kernels");
    // Mirrors drop superseded packages, so lists of some days ago may name what is gone.
    newest_known(&home, series).or_else(|_| {
        fs::remove_dir_all(home.join("apt"))?;
        newest_known(&home, series)
    })
}

fn newest_known(home: &Path, series: &str) -> Result<Kernel> {
    let apt = Apt::new(home)?;
    let names = apt.cache(&["pkgnames", "linux-image-"])?;
    let release = newest(names.lines(), series)
        .with_context(|| format!("Debian has no kernel of series {series}"))?;
    let folder = home.join(&release);
    if !folder.exists() {
        unpack(&apt, &release, home, &folder)?;
    }
    let vmlinuz = [
        folder.join(format!("boot/vmlinuz-{release}")),
        folder.join(format!("usr/lib/modules/{release}/vmlinuz")),
    ]
    .into_iter()
    .find(|file| file.is_file())
    .with_context(|| format!("the packages of {release} have no vmlinuz"))?;
    Ok(Kernel { release, folder, vmlinuz })
}

fn unpack(apt: &Apt, release: &str, home: &Path, folder: &Path) -> Result<()> {
    let image = format!("linux-image-{release}");
    // Newer packages are split: the image only names those that hold the kernel and its modules.
    let depends = apt.cache(&["depends", &image])?;
    let parts = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("linux-") && name.ends_with(release))
        .map(str::to_owned);
    let downloads = home.join(format!("{release}.part"));
    if downloads.exists() {
        fs::remove_dir_all(&downloads)?;
    }
    fs::create_dir_all(&downloads)?;
    println!("downloading {image}");
    process::run(
        apt.command("apt-get")
            .current_dir(&downloads)
            .args(["download", "-qq", "-o", "APT::Sandbox::User=root", &image])
            .args(parts),
    )?;
    let root = downloads.join("root");
    for entry in fs::read_dir(&downloads)? {
        process::run(Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(&root))?;
    }
    fs::rename(&root, folder)?;
    fs::remove_dir_all(&downloads)?;
    Ok(())
}

/// The release of the newest kernel of `series` among names of packages.
fn newest<'a>(names: impl Iterator<Item = &'a str>, series: &str) -> Option<String> {
    names
        .filter_map(|name| name.strip_prefix("linux-image-"))
        .filter(|release| release.ends_with(FLAVOUR))
        .filter(|release| {
            // Names without a full version belong to packages that only point at another one.
            release.starts_with(|c: char| c.is_ascii_digit()) && release.matches('.').count() >= 2
        })
        .filter(|release| series == NEWEST || release.starts_with(&format!("{series}.")))
        .max_by_key(|release| numbers(release))
        .map(str::to_owned)
}

/// The numbers in a version, which order versions of one naming scheme.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// apt with sources, lists and cache of its own: the machine's are left alone.
#[derive(Debug)]
struct Apt {
    home: PathBuf,
}

impl Apt {
    fn new(home: &Path) -> Result<Self> {
        let apt = Self { home: home.join("apt") };
        let sources = apt.home.join("sources.list");
        if sources.exists() {
            return Ok(apt);
        }
        let fresh = apt.home.with_extension("part");
        fs::create_dir_all(fresh.join("lists/partial"))?;
        fs::create_dir_all(fresh.join("cache/archives/partial"))?;
        let text = SUITES
            .iter()
            .map(|&(archive, suite)| {
                let mirror = mirror(archive)?;
                Ok(format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"))
            })
            .collect::<Result<String>>()?;
        if apt.home.exists() {
            fs::remove_dir_all(&apt.home)?;
        }
        fs::rename(&fresh, &apt.home)?;
        let partial = apt.home.join("sources.part");
        fs::write(&partial, text)?;
        process::run(
            apt.command("apt-get")
                .args(["update", "-qq", "-o"])
                .arg(format!("Dir::Etc::sourcelist={}", partial.display())),
        )?;
        // Last, so that an update that failed is done again.
        fs::rename(partial, sources)?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let home = self.home.display();
        for option in [
            format!("Dir::Etc::sourcelist={home}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={home}/lists"),
            format!("Dir::Cache={home}/cache"),
            "Debug::NoLocking=1".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }

    fn cache(&self, args: &[&str]) -> Result<String> {
        process::stdout(self.command("apt-cache").args(args))
    }
}

/// The keys that Debian's mirrors are checked against.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The mirror this machine has its own packages from.
fn mirror(archive: Archive) -> Result<String> {
    ensure!(Path::new(KEYRING).exists(), "Debian's kernels need Debian's keys: {KEYRING}");
    let known = process::stdout(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(CODENAME) $(REPO_URI)",
    ]))?;
    let found = known.lines().find_map(|line| {
        let (origin, mirror) = line.split_once(' ')?;
        let (codename, mirror) = mirror.split_once(' ')?;
        let security = codename.ends_with("-security");
        let wanted = origin == "Debian" && security == (archive == Archive::Security);
        wanted.then(|| mirror.to_owned())
    });
    found.with_context(|| {
        format!("apt on this machine knows no mirror of Debian's {archive:?} archive")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "linux-image-5.10.0-9-cloud-amd64",
        "linux-image-5.10.0-46-cloud-amd64",
        "linux-image-6.1-cloud-amd64",
        "linux-image-6.1.0-55-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64-unsigned",
        "linux-image-6.12.117+deb13-cloud-amd64",
        "linux-image-6.12.117+deb13-rt-amd64",
        "linux-image-6.12.90+deb13-cloud-amd64",
        "linux-image-cloud-amd64",
    ];

    #[test]
    fn the_newest_of_a_series_is_chosen_by_number() {
        let chosen = |series| newest(NAMES.iter().copied(), series).unwrap();
        assert_eq!(chosen("5.10"), "5.10.0-46-cloud-amd64");
        assert_eq!(chosen("6.1"), "6.1.0-55-cloud-amd64");
        assert_eq!(chosen(NEWEST), "6.12.117+deb13-cloud-amd64");
        assert_eq!(newest(NAMES.iter().copied(), "4.19"), None);
    }
}

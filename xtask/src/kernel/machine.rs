//! One virtual machine, from power on to power off.
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::packages::Kernel;
use crate::peers;

/// Longer than the suites take without hardware virtualisation, shorter than patience.
const SECONDS: &str = "1500";

/// How often a kernel is booted: one panic at boot was seen in some forty boots under emulation.
const BOOTS: usize = 2;

/// What the guest's console said, as far as it matters here.
#[derive(Debug, Default)]
struct Console {
    booted: bool,
    done: bool,
    /// Suites that ended, and how.
    ended: Vec<(String, String)>,
    /// Failed tests, warnings of the kernel, and whatever else looks like trouble.
    trouble: Vec<String>,
}

/// Boots `kernel` with `image` and waits for its suites.
pub(super) fn run(kernel: &Kernel, image: &Path) -> Result<()> {
    for _ in 0..BOOTS {
        let console = boot(kernel, image)?;
        if !console.booted {
            println!("{} did not boot", kernel.release);
            continue;
        }
        return console.verdict();
    }
    bail!(
        "gave up after {BOOTS} boots; the console is in {}",
        image.with_extension("log").display()
    )
}

fn boot(kernel: &Kernel, image: &Path) -> Result<Console> {
    let qemu = peers::find("qemu-system-x86_64").context("no qemu-system-x86_64")?;
    let mut machine = Command::new("timeout")
        .arg(SECONDS)
        .arg(qemu)
        .args(accelerator())
        .args(["-M", "q35"])
        .args(["-smp", "2", "-m", "2048", "-nographic", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(&kernel.vmlinuz)
        .arg("-initrd")
        .arg(image)
        .args(["-append", "console=ttyS0 panic=-1 quiet loglevel=3 mitigations=off"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("qemu")?;
    let mut log = fs::File::create(image.with_extension("log"))?;
    let mut console = Console::default();
    let output = machine.stdout.take().context("qemu has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        writeln!(log, "{line}")?;
        console.line(line);
    }
    machine.wait()?;
    Ok(console)
}

/// The processor's own virtualisation where it shows; a device alone may be there and not work.
fn accelerator() -> [&'static str; 4] {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let virtualises = processor.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    if virtualises && Path::new("/dev/kvm").exists() {
        ["-accel", "kvm", "-cpu", "host"]
    } else {
        ["-accel", "tcg,thread=multi", "-cpu", "max"]
    }
}

impl Console {
    fn line(&mut self, line: &str) {
        // The firmware's last escape sequences may stand before it.
        if line.contains("GUEST ") {
            self.booted = true;
        } else if line == "GUEST-DONE" {
            self.done = true;
        } else if let Some((name, code)) =
            line.strip_prefix("ENDED ").and_then(|rest| rest.split_once(' '))
        {
            self.ended.push((name.to_owned(), code.to_owned()));
        } else if line.starts_with("test result:") || line.starts_with("STUCK") {
            println!("  {line}");
        } else if (line.starts_with("test ") && line.ends_with("FAILED"))
            || line.contains("panicked at")
            || ["WARNING:", "BUG:", "Oops"].iter().any(|sign| line.contains(sign))
        {
            self.trouble.push(line.to_owned());
        }
    }

    fn verdict(&self) -> Result<()> {
        for line in &self.trouble {
            println!("  {line}");
        }
        ensure!(
            self.done,
            "the machine ended, or was ended after {SECONDS} s, in the middle of a suite"
        );
        ensure!(!self.ended.is_empty(), "no suite ran");
        for (name, code) in &self.ended {
            ensure!(code == "0", "{name} ended with {code}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(text: &str) -> Console {
        let mut console = Console::default();
        text.lines().for_each(|line| console.line(line));
        console
    }

    #[test]
    fn a_guest_passes_when_every_suite_did_and_it_came_to_its_end() {
        assert!(console("GUEST 6.1\nENDED a 0\nENDED b 0\nGUEST-DONE").verdict().is_ok());
        assert!(console("GUEST 6.1\nENDED a 0\nENDED b 101\nGUEST-DONE").verdict().is_err());
        assert!(console("GUEST 6.1\nENDED a 0").verdict().is_err());
        assert!(console("GUEST 6.1\nGUEST-DONE").verdict().is_err());
    }
}

//! That the settings files of the chart say what the program understands.
use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{cases::GOOD, helm, objects};
use crate::{process, workspace};

/// Has `program` read the settings of every rendering, as the chart's pods would.
pub(super) fn run(program: &Path) -> Result<()> {
    let mut read = 0;
    for (name, values) in GOOD {
        for object in objects::read(&helm::render(values)?)? {
            let Some(files) = object["data"].as_object() else { continue };
            // Others are no settings.
            for (file, text) in files.iter().filter(|(file, _)| file.ends_with(".yaml")) {
                understood(program, file, text).with_context(|| format!("{name}: {file}"))?;
                read += 1;
            }
        }
    }
    println!("{read} settings files understood");
    Ok(())
}

fn understood(program: &Path, file: &str, text: &Value) -> Result<()> {
    let role = file.strip_suffix(".yaml").context("a settings file is named by its role")?;
    let folder = workspace::target().join("chart");
    fs::create_dir_all(&folder)?;
    let path = folder.join(file);
    fs::write(&path, text.as_str().context("no text")?)?;
    let mut command = Command::new(program);
    // As in the pod, and not as whoever started us.
    command.env_clear().env("CULVERT_NODE_NAME", "node-1").env("CULVERT_POD_UID", "1");
    process::quietly(command.arg(role).arg("--config").arg(path).arg("--print-config"))
}

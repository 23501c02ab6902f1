//! What one change costs: how long until it is told, and what is made anew for it.
use std::{fs, path::Path, time::Instant};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{MESH, Plane};
use crate::{manifests, rounds::median, stage::http};

/// The app that changes, and how often.
const CHANGED: u32 = 500;
const CHANGES: u8 = 20;

/// Of a control plane: the parts of configuration for HTTP that it made so far.
const PARTS: &str = "culvert_control_l7_parts_made_total ";

/// What a change costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// The middle of the milliseconds from when its file is in place until it is told.
    pub(super) told: f64,
    /// Parts made anew for each.
    pub(super) parts: f64,
}

/// Of a pod, which gets another address.
pub(super) fn pods(plane: &mut Plane, folder: &TempDir) -> Result<Cost> {
    changes(plane, folder, |change, draft| {
        let (name, ip) = MESH.draft_move(CHANGED, change, draft)?;
        Ok(move |plane: &mut Plane| plane.follower.await_workload(&name, ip))
    })
}

/// Of a route, whose first rule gets another path.
pub(super) fn routes(plane: &mut Plane, folder: &TempDir) -> Result<Cost> {
    changes(plane, folder, |change, draft| {
        let prefix = format!("/api/changed-{change}");
        MESH.draft_prefix(CHANGED, &prefix, draft)?;
        let name = manifests::routes(CHANGED);
        Ok(move |plane: &mut Plane| plane.engine.await_route(&name, &prefix))
    })
}

/// Puts what `draft` wrote in its place, and waits for what that gives, again and again.
fn changes<W: FnOnce(&mut Plane) -> Result<()>>(
    plane: &mut Plane,
    folder: &TempDir,
    draft: impl Fn(u8, &Path) -> Result<W>,
) -> Result<Cost> {
    let file = folder.path().join("draft.yaml");
    let place = folder.path().join("manifests").join(manifests::file(CHANGED));
    let before = parts(plane)?;
    let mut took = Vec::new();
    for change in 1..=CHANGES {
        let told = draft(change, &file)?;
        let start = Instant::now();
        fs::rename(&file, &place)?;
        told(plane)?;
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let parts = (parts(plane)? - before) / f64::from(CHANGES);
    Ok(Cost { told: median(&took), parts })
}

fn parts(plane: &Plane) -> Result<f64> {
    let text = http(plane.metrics, "/metrics")?;
    let line = text.lines().find_map(|line| line.strip_prefix(PARTS));
    Ok(line.with_context(|| format!("there is no {PARTS}"))?.parse()?)
}

//! Gateways in a process that holds pods: each with an identity, discovery and an engine of its own,
//! and listeners on the machine; what is around them is the process's.
use super::{
    life::everything,
    mesh::{self, Host},
    options::{DRAIN, Of, Options},
    parts,
    serving::Serving,
};
use crate::{
    failure::{Exit, Failure},
    node::{l7::keys::Here, ways::Ways},
};
use culvert_l7::{log::Sinks, shared::Shared, stats::Stats};
use culvert_model::http::snapshot::Snapshot;
use culvert_runtime::{drain::Worker, publish};
use culvert_xds::envoy::discover::Discovery;
use std::{future::pending, sync::Arc, time::Duration};
use tracing::{info, warn};

/// Starts a gateway, which goes `ways`, as tasks of `worker`; in the end requests have `last` to
/// finish.
///
/// # Errors
///
/// When the ways do not lead to certificates, or files that settings name are no good.
pub(crate) fn start(
    of: &Of,
    ways: Ways,
    (host, last): (&Host, Duration),
    worker: &Worker,
) -> Result<(), Failure> {
    let name = of.name.clone();
    let options = Options { of: Some(Box::new(of.clone())), ..Options::default() };
    let (bootstrap, plan) = mesh::prepare(&options, of, ways)?;
    let discovery = Discovery::try_new(&bootstrap, Arc::new(Here::default()));
    let discovery = discovery.map_err(|bad| {
        let bad: Vec<_> = bad.iter().map(ToString::to_string).collect();
        Failure::new(Exit::Usage, format!("gateway {name}: {}", bad.join("; ")), "report it")
    })?;
    let bootstrap = Arc::new(bootstrap);
    let mesh = plan.start(host, worker)?;
    let (mut publisher, view) = publish::channel(Snapshot::default());
    discovery.settle(&mut publisher);
    let stats = Stats::default();
    let logs = (stats.clone(), Sinks::new(&stats));
    let shared = Shared::new(parts(view, &bootstrap, logs, Some(&mesh), worker.clone()));
    let serving = Serving::new(Arc::new(shared));
    let reach = mesh.reach();
    worker.spawn(discovery.clone().run(Arc::clone(&bootstrap), reach, publisher, worker.clone()));
    let (own, data) = (worker.clone(), host.data.clone());
    worker.spawn(async move {
        if let Err(failure) = serving.begin(DRAIN, &data).await {
            warn!(gateway = %name, "cannot begin: {failure}");
        }
        let ready = async {
            everything(Some(&mesh), &discovery, &bootstrap).await;
            serving.follows(&discovery).await;
            info!(gateway = %name, "ready: everything that is served has come");
            pending::<()>().await;
        };
        tokio::select! {
            () = own.finishing() => {}
            () = ready => {}
        }
        serving.end(last).await;
    });
    Ok(())
}

//! The engine, and what must be so before it starts.
use super::holder;
use crate::failure::{Exit, Failure};
use culvert_l7::{
    engine::{Engine, Options, view::ListenerView},
    log::Target,
    manager::managers,
    shared::Shared,
};
use culvert_model::http::{
    access_log::{AccessLog, LogSink},
    filter::{FilterConfig, HttpFilter},
    listener::{FilterChain, Listener, NetworkFilterKind},
};
use culvert_xds::envoy::{
    assemble::{Assembler, Decoded},
    discover::Discovery,
};
use parking_lot::Mutex;
use std::{
    fs::{self, OpenOptions},
    io,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot};

/// The engine, once it runs.
#[derive(Debug)]
pub(super) struct Serving {
    shared: Arc<Shared>,
    engine: Mutex<Option<Engine>>,
}

impl Serving {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, engine: Mutex::new(None) }
    }

    /// Starts with what there is; when this returns, listeners take connections.
    ///
    /// # Errors
    ///
    /// When a listener of the bootstrap cannot be had.
    pub(super) async fn begin(&self, drain: Duration, data: &Handle) -> Result<(), Failure> {
        let (tell, told) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.shared.worker.spawn_on(data, async move {
            let managers = managers(&shared);
            // Nobody listens any more when the process ends meanwhile.
            drop(tell.send(
                Engine::start(shared, Options { drain, ..Options::default() }, managers).await,
            ));
        });
        let Ok(started) = told.await else { return Ok(()) };
        let engine = started.map_err(|error| {
            let next = "raise the limit of open files (ulimit -n)";
            Failure::new(Exit::Cannot, "cannot start the engine", next).because(&error)
        })?;
        let listeners = engine.listeners();
        *self.engine.lock() = Some(engine);
        // What comes by discovery may be mended there; the bootstrap is not read again.
        let never = |one: &&ListenerView| one.version.is_empty() && one.config.is_none();
        let bad = listeners.iter().filter(never).filter_map(|one| self.refused(one));
        let bad: Vec<_> = bad.collect();
        if bad.is_empty() {
            return Ok(());
        }
        let next = "free what is in use, or give the listeners other addresses";
        Err(Failure::new(Exit::Cannot, bad.join("\n"), next))
    }

    /// Resolves when what has come is what is served: listeners take connections.
    pub(super) async fn follows(&self, discovery: &Discovery) {
        let wanted = discovery.inspect(Assembler::generation);
        let applied = self.engine.lock().as_ref().map(Engine::applied);
        if let Some(mut applied) = applied {
            // It ends with the engine.
            drop(applied.wait_for(|now| wanted <= *now).await);
        }
    }

    /// Every listener, by name.
    pub(super) fn listeners(&self) -> Vec<ListenerView> {
        self.engine.lock().as_ref().map(Engine::listeners).unwrap_or_default()
    }

    /// Takes no more connections; those there are may end, at most so long.
    pub(super) fn stop(&self, within: Duration) {
        let engine = self.engine.lock().take();
        if let Some(engine) = engine {
            self.shared.worker.spawn(async move {
                engine.drain(within).await;
            });
        }
    }

    /// Listeners of inbound traffic take no more connections; those there are may end.
    pub(super) async fn stop_inbound(&self) {
        let stopping = self.engine.lock().as_ref().map(Engine::stop_inbound);
        if let Some(stopping) = stopping {
            stopping.await;
        }
    }

    /// Takes no more connections, and waits at most so long for those there are.
    pub(super) async fn end(&self, within: Duration) {
        let engine = self.engine.lock().take();
        if let Some(engine) = engine {
            let drained = engine.drain(within).await;
            tracing::debug!(?drained, "listeners are closed");
        }
    }

    /// Why a listener takes no connections, and who has its address.
    fn refused(&self, one: &ListenerView) -> Option<String> {
        let error = one.error.as_ref()?;
        let published = self.shared.snapshot.pin();
        let wanted = published.value.listeners().value(&one.name);
        let addresses = wanted.iter().flat_map(|listener| listener.addresses.iter());
        let mut sockets = addresses.filter_map(|at| at.address.as_socket());
        let is_taken = |at: &SocketAddr| error.contains(&format!("{at}: the address is in use"));
        let holder = sockets.find(is_taken).and_then(holder::of);
        let holder = holder.map(|holder| format!("; {holder} listens there")).unwrap_or_default();
        Some(format!("listener {}: {error}{holder}", one.name))
    }
}

/// Whether the access logs of the bootstrap's listeners can be written: what cannot is said before
/// anything starts.
///
/// # Errors
///
/// All that cannot.
pub(super) fn check_logs(source: &str, discovery: &Discovery) -> Result<(), Failure> {
    let paths = discovery.inspect(|all| {
        let listeners = all.held().filter_map(|((_, name), held)| match &held.made.decoded {
            Decoded::Listener(listener) => Some((Arc::clone(name), Arc::clone(listener))),
            Decoded::Cluster(_)
            | Decoded::Endpoint(_)
            | Decoded::Route(_)
            | Decoded::Secret(_)
            | Decoded::Extension(_)
            | Decoded::Runtime(_) => None,
        });
        let named = |(name, listener): (Arc<str>, Arc<Listener>)| {
            paths(&listener).into_iter().map(move |path| (Arc::clone(&name), path))
        };
        listeners.flat_map(named).collect::<Vec<_>>()
    });
    let bad = paths.iter().filter_map(|(name, path)| {
        let error = can_be_written(path).err()?;
        Some(format!("{source}: listener {name}: access log {path}: {error}"))
    });
    let bad: Vec<_> = bad.collect();
    if bad.is_empty() {
        return Ok(());
    }
    let next = "give access logs a file in a folder that this user can write to, or /dev/stdout";
    Err(Failure::new(Exit::Found, bad.join("\n"), next))
}

fn can_be_written(path: &str) -> io::Result<()> {
    let Target::File(path) = Target::of(path) else { return Ok(()) };
    // A pipe would be waited for; nothing is made that is not there.
    match fs::metadata(&path) {
        Ok(found) if found.is_file() => OpenOptions::new().append(true).open(&path).map(drop),
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = fs::metadata(parent.unwrap_or(Path::new(".")))?;
            if folder.permissions().readonly() {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn paths(listener: &Listener) -> Vec<Arc<str>> {
    let chains = listener.chains.iter().chain(&listener.default_chain);
    let logs = chains.flat_map(|chain| of_chain(chain));
    let files = listener.access_logs.iter().chain(logs).filter_map(|log| match &log.sink {
        LogSink::File { path, .. } => Some(Arc::clone(path)),
        LogSink::Stdout(_) | LogSink::Stderr(_) => None,
    });
    files.collect()
}

fn of_chain(chain: &FilterChain) -> Vec<&AccessLog> {
    let mut logs = Vec::new();
    for filter in &*chain.filters {
        if let NetworkFilterKind::TcpProxy(proxy) = &filter.kind {
            logs.extend(proxy.access_logs.iter());
        }
        let NetworkFilterKind::HttpManager(manager) = &filter.kind else { continue };
        logs.extend(manager.access_logs.iter());
        for filter in &*manager.filters {
            if let FilterConfig::Here(HttpFilter::Router(router)) = &filter.config {
                logs.extend(router.upstream_logs.iter());
            }
        }
    }
    logs
}

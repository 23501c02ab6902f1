//! The control plane: alone as `culvert control`, or inside of `culvert up`.
use crate::{
    admin::{
        self,
        listeners::{ListenError, Listeners, remove_sockets},
    },
    config::{Config, report::Report, settings},
    failure::{Exit, Failure},
    ground,
    node::advice::{no_control, no_crl, no_descriptor, no_listener},
    signals::Signals,
    takeover::lock::{Lock, LockError},
};
use culvert_control::{
    clerk::Replica,
    compile::Settings,
    control::{AUTHORITY_SECRET, Access, Ca, Cluster, Control, Kind, Listen, Plan, Whence},
    gateways::template::Template,
};
use culvert_identity::{ca::files::Given, crl};
use culvert_kubernetes::{
    client::{Client, ReachError},
    named::{Named, What},
};
use culvert_runtime::drain::{Drain, Worker};
use culvert_telemetry::log::LogHandle;
use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tracing::info;

/// The root's key and certificate, in the folder of what outlives the process.
const ROOT: &str = "root.pem";

/// How long nodes may take to notice that this process ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a process that is a control plane and nothing else is made from.
#[derive(Debug)]
pub(crate) struct Alone {
    pub(crate) config: Config,
    pub(crate) report: Report,
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) log: LogHandle,
}

/// Serves until it is told to end, or cannot go on.
pub(crate) async fn live(alone: Alone) -> Result<Exit, Failure> {
    let mut signals = Signals::new()?;
    let Alone { config, report, paths, log } = alone;
    let run_dir = ground::make_run_dir(&config.instance)?;
    let _lock = Lock::alone(&run_dir).map_err(|error| no_place(&error))?;
    let (work, doors) = (Drain::default(), Drain::default());
    let worker = work.worker();
    let (whence, paths) = whence(&config, paths).await?;
    let control = tokio::select! {
        biased;
        () = signals.next() => return Ok(Exit::Done),
        started = start(&config, whence, "", &worker) => started?,
    };
    let listeners = Listeners::open(&config.doors, &run_dir, Vec::new());
    let listeners = listeners.map_err(|error| no_listener(&error))?;
    serve(&control, &listeners, &worker)?;
    if let (Some(address), Some(_)) = (config.serve.admission, &config.serve.kubernetes) {
        admit(&control, address, &worker)?;
    }
    let answers = admin::control::Answers { config, report, paths, log, control };
    admin::control::start(&listeners, &Arc::new(answers), &doors.worker())
        .map_err(|error| no_descriptor(&error))?;
    info!("ready");
    signals.next().await;
    info!("told to end; nodes go on as they are until a control plane is back");
    tokio::select! {
        biased;
        () = signals.next() => {}
        _ = work.drain(FAREWELL) => {}
    }
    remove_sockets(&run_dir, &[admin::SOCKET]);
    doors.drain(FAREWELL).await;
    Ok(Exit::Done)
}

/// Where objects come from, and what that is called.
async fn whence(config: &Config, paths: Vec<PathBuf>) -> Result<(Whence, Vec<PathBuf>), Failure> {
    let Some(reach) = &config.serve.kubernetes else {
        return Ok((Whence::Files(paths.clone()), paths));
    };
    let client = Client::new(reach).await.map_err(|error| no_cluster(&error))?;
    let server = client.server().into();
    Ok((Whence::Kubernetes(client), vec![server]))
}

/// Reads what there is and makes ready to serve it; `node` is who holds pods in this process.
///
/// # Errors
///
/// When manifests or keys are no good.
pub(crate) async fn start(
    config: &Config,
    whence: Whence,
    node: &str,
    worker: &Worker,
) -> Result<Control, Failure> {
    let state_dir = config.serve.state_dir.clone();
    let cluster = match &whence {
        Whence::Kubernetes(client) => Some(Cluster {
            client: client.clone(),
            namespace: config.serve.namespace.clone(),
            node_account: config.serve.node_account.clone(),
        }),
        Whence::Files(_) => None,
    };
    let ca = match (&config.ca_folder, &cluster) {
        (Some(folder), _) => Ca::Given(Given::in_folder(folder)),
        (None, Some(Cluster { client, namespace, .. })) => {
            Ca::Secret(Named::new(client, What::Secret, namespace, AUTHORITY_SECRET))
        }
        (None, None) => Ca::Kept(state_dir.join(ROOT)),
    };
    let settings = Settings {
        node_name: node.into(),
        cluster: config.cluster.as_str().into(),
        trust_domain: config.trust_domain.as_str().into(),
        ambient: config.ambient,
        // By this control plane, or by the one of the setting.
        l7: true,
    };
    let listen = Listen { names: config.serve.names.clone() };
    let access = Access::Nodes;
    let template = config.serve.gateway_template.as_deref();
    let gateways = template.map(template_of_gateways).transpose()?;
    let replica = cluster.as_ref().map(|cluster| Replica {
        name: name_of_replica(),
        namespace: cluster.namespace.clone(),
        admits: config.serve.admission.is_some(),
        gateways,
    });
    let plan = Plan { whence, settings, ca, cluster, state_dir, listen, access, replica };
    let control = Control::start(plan, worker).await.map_err(|error| no_control(&error))?;
    if let Some(path) = &config.mesh.crl {
        crl::watch(path, &control.trust(), worker).map_err(|error| no_crl(&error))?;
    }
    Ok(control)
}

/// Lets nodes in where the settings say, until the worker finishes.
///
/// # Errors
///
/// When a descriptor cannot be copied.
pub(crate) fn serve(
    control: &Control,
    listeners: &Listeners,
    worker: &Worker,
) -> Result<(), Failure> {
    for (listener, kind) in [(&listeners.xds, Kind::Plain), (&listeners.xds_tls, Kind::Tls)] {
        let Some(listener) = listener else { continue };
        let listen = |listener: &TcpListener| -> io::Result<()> {
            let address = listener.local_addr()?;
            info!(%address, "serving nodes");
            control.listen(listener.try_clone()?, kind, worker)
        };
        listen(listener).map_err(|error| no_descriptor(&error))?;
    }
    Ok(())
}

/// Judges policies for whoever asks at `address`, until the worker finishes.
fn admit(control: &Control, address: SocketAddr, worker: &Worker) -> Result<(), Failure> {
    let setting = &settings::ADMISSION_ADDRESS;
    let listener = TcpListener::bind(address)
        .map_err(|source| no_listener(&ListenError::Address { address, setting, source }))?;
    info!(%address, "judging policies for the API server");
    control.admit(listener, worker).map_err(|error| no_descriptor(&error))
}

/// What pods of gateways look like.
fn template_of_gateways(file: &Path) -> Result<Template, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        let why = format!("pods of gateways cannot be made like {}: {error}", file.display());
        Failure::new(
            Exit::Usage,
            why,
            format!("mend the file, or leave {} out", settings::GATEWAY_TEMPLATE),
        )
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    Template::parse(&text).map_err(|error| wrong(&error))
}

/// Differs from every other's, also from that of the process before: host, time and process.
fn name_of_replica() -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}_{:x}-{:x}", host.to_string_lossy(), since.as_millis(), process::id())
}

fn no_cluster(error: &ReachError) -> Failure {
    let next = format!(
        "name the cluster with {} and {}, or run as a pod of it",
        settings::KUBECONFIG,
        settings::CONTEXT
    );
    Failure::of(Exit::Cannot, error, next)
}

fn no_place(error: &LockError) -> Failure {
    let next = match error {
        LockError::Starting(_) | LockError::Living(_) => {
            "end it with SIGTERM; or choose another --instance"
        }
        LockError::Io { .. } => "see that the folder can be written",
    };
    Failure::of(Exit::Cannot, error, next)
}

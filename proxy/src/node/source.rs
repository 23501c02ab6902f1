//! Who says which pods are here, and where the rest comes from: the control plane in this process,
//! or manifests of this node's own pods and a control plane elsewhere.
use super::{
    Plan, advice, cluster,
    cni::{
        book::Book,
        roster::{self, Roster},
    },
    feed::{home, l7_control},
    marks::{Marking, Marks},
    ways::{Home, Ways},
};
use crate::{
    admin::listeners::Listeners,
    config::Url,
    control,
    failure::{Exit, Failure},
};
use culvert_control::{
    compile::Settings,
    control::{Control, Kind, Whence},
    local,
};
use culvert_dataplane::Dataplane;
use culvert_kubernetes::client::Client;
use culvert_model::{name::ObjectName, pod::LocalPods};
use culvert_runtime::{
    drain::Worker,
    publish::{self, View},
};
use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time;
use tracing::warn;

/// The name of this node's own token in the run folder; of gateways, what theirs begin with.
const TOKEN: &str = "join-token";

/// How long one is good, and how often it is made anew.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
const TOKEN_TURN: Duration = Duration::from_secs(60 * 60);

/// What is read here.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Everything.
    Here {
        control: Control,
        roster: View<Roster>,
        paths: Vec<PathBuf>,
        /// Where it listens for this process.
        own: Url,
    },
    /// The node's own pods.
    Pods {
        control: local::Control,
        local: View<LocalPods>,
        roster: View<Roster>,
        paths: Vec<PathBuf>,
    },
    /// Those that an API server puts on the node.
    Cluster { local: View<LocalPods>, roster: View<Roster>, marks: View<Marks>, client: Client },
}

impl Source {
    /// Starts to read, and finds the way to the control plane.
    ///
    /// # Errors
    ///
    /// When manifests or settings are no good.
    pub(super) async fn start(
        plan: &Plan,
        book: &Book,
        worker: &Worker,
    ) -> Result<(Self, Ways), Failure> {
        match &plan.config.mesh.upstream {
            None => Self::here(plan, worker).await,
            Some(upstream) => {
                let ways = Ways::open(upstream, l7_control(plan), home(plan))
                    .map_err(|e| advice::no_way(&e))?;
                let settings = Settings {
                    node_name: plan.config.node_name.as_str().into(),
                    cluster: plan.config.cluster.as_str().into(),
                    trust_domain: ways.trust_domain().into(),
                    ambient: plan.config.ambient,
                    l7: true,
                };
                if let Some(reach) = &plan.config.mesh.cluster {
                    let proc = plan.config.cni.host_proc.as_path();
                    let views = cluster::start((reach, proc), settings, book.clone(), worker);
                    let cluster::Views { local, roster, marks, client } = views.await?;
                    return Ok((Self::Cluster { local, roster, marks, client }, ways));
                }
                let (publisher, local) = publish::channel(LocalPods::default());
                let paths = plan.config.mesh.pods.clone();
                let control = local::Control::start(&paths, settings, publisher, worker).await;
                let control = control.map_err(|error| advice::no_control(&error))?;
                let roster = follow(local.clone(), worker);
                Ok((Self::Pods { control, local, roster, paths }, ways))
            }
        }
    }

    /// The pods that are to be here.
    pub(crate) fn local(&self) -> View<LocalPods> {
        match self {
            Self::Here { control, .. } => control.local(),
            Self::Pods { local, .. } | Self::Cluster { local, .. } => local.clone(),
        }
    }

    /// Who is to be in the mesh, as far as it is known.
    pub(super) fn roster(&self) -> View<Roster> {
        match self {
            Self::Here { roster, .. }
            | Self::Pods { roster, .. }
            | Self::Cluster { roster, .. } => roster.clone(),
        }
    }

    /// Has the API server's objects say who is captured, where pods come from one.
    pub(super) fn mark(&self, dataplane: &Dataplane, worker: &Worker) {
        let Self::Cluster { marks, client, .. } = self else { return };
        let (marks, client) = (marks.clone(), client.clone());
        let marking = Marking { client, marks, dataplane: dataplane.clone() };
        marking.start(worker);
    }

    /// Lets other nodes in, where the settings say.
    ///
    /// # Errors
    ///
    /// When a descriptor cannot be copied.
    pub(super) fn serve(&self, listeners: &Listeners, worker: &Worker) -> Result<(), Failure> {
        match self {
            Self::Here { control, .. } => control::serve(control, listeners, worker),
            Self::Pods { .. } | Self::Cluster { .. } => Ok(()),
        }
    }

    /// The control plane in this process, and a way to it that is no different from a stranger's:
    /// over TLS, with a token.
    async fn here(plan: &Plan, worker: &Worker) -> Result<(Self, Ways), Failure> {
        let paths = plan.paths.clone();
        let control = control::start(
            &plan.config,
            Whence::Files(paths.clone()),
            &plan.config.node_name,
            worker,
        )
        .await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listened = listener.and_then(|listener| {
            let port = listener.local_addr()?.port();
            listener.set_nonblocking(true)?;
            control.listen(listener, Kind::Tls, worker)?;
            Ok(port)
        });
        let port = listened.map_err(|error| {
            let next = "see that the loopback interface is up (ip link set lo up)";
            Failure::new(Exit::Cannot, "cannot listen on loopback", next).because(&error)
        })?;
        let file = plan.ground.instance.run_dir().join(TOKEN);
        write_token(&control, &plan.config.node_name, &file)?;
        keep_token(control.clone(), plan.config.node_name.clone(), file.clone(), worker);
        let own = Url { tls: true, host: Ipv4Addr::LOCALHOST.to_string(), port };
        let ways = Ways::home(own.clone(), file, l7_control(plan), home(plan))
            .map_err(|error| advice::no_way(&error))?;
        let roster = follow(control.local(), worker);
        Ok((Self::Here { control, roster, paths, own }, ways))
    }

    /// The way of a gateway in this process, with a token of its own; `None`: the control plane is
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// When no token can be made for it.
    pub(super) fn ways_of(
        &self,
        plan: &Plan,
        gateway: &ObjectName,
        worker: &Worker,
    ) -> Result<Option<Ways>, Failure> {
        let Self::Here { control, own, .. } = self else { return Ok(None) };
        let id = gateway.to_string();
        let file = plan.ground.instance.run_dir().join(format!("{TOKEN}_{}", id.replace('/', "_")));
        write_token(control, &id, &file)?;
        keep_token(control.clone(), id.clone(), file.clone(), worker);
        let home = Home { node: &id, ..home(plan) };
        let ways = Ways::home(own.clone(), file, None, home);
        ways.map(Some).map_err(|error| advice::no_way(&error))
    }
}

fn follow(local: View<LocalPods>, worker: &Worker) -> View<Roster> {
    let (publisher, view) = publish::channel(Roster::default());
    roster::follow(local, publisher, worker);
    view
}

/// Makes the token anew while the process lives, and when tokens were made void.
fn keep_token(control: Control, holder: String, file: PathBuf, worker: &Worker) {
    let own = worker.clone();
    worker.spawn(async move {
        let mut tokens = control.tokens();
        let mut seen = tokens.pin().generation;
        loop {
            tokio::select! {
                () = own.finishing() => return,
                () = time::sleep(TOKEN_TURN) => {}
                Some(newer) = tokens.newer_than(seen) => seen = newer.generation,
            }
            if let Err(failure) = write_token(&control, &holder, &file) {
                warn!("{failure}");
            }
        }
    });
}

fn write_token(control: &Control, holder: &str, file: &Path) -> Result<(), Failure> {
    let token = control.join_token(holder, TOKEN_LIFE).map_err(|error| {
        Failure::of(Exit::Cannot, &error, "choose another name, with --node-name or --gateways")
    })?;
    replace(file, &token).map_err(|error| {
        let what = format_args!("cannot write {}", file.display());
        Failure::new(Exit::Cannot, what, "see that it can be written").because(&error)
    })
}

/// Whole or not at all, and for nobody else to read.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let mut opened =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    opened.set_permissions(Permissions::from_mode(0o600))?;
    opened.write_all(text.as_bytes())?;
    fs::rename(&beside, file)
}

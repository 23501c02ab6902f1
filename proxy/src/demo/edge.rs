//! The edge: a gateway of the mesh on a machine without a proxy, and somebody outside who visits it.
use super::{
    books::Ask,
    error::StageError,
    peer::client::Browsed,
    process::Process,
    stage::{FOLDER, Stage},
};
use culvert_identity::{
    ca::site::Site,
    clock::{Clock as _, SystemClock},
};
use culvert_lab::{Lab, NodeNs, PodNs};
use serde_json::json;
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const MANIFEST: &str = include_str!("../../../deploy/demo/books/gateway.yaml");

/// The gateway, and the Secret of its certificate: as the manifest has them.
const GATEWAY: &str = "books/edge";
const SECRET: &str = "books-example-com";

pub(super) const HOST: &str = "books.example.com";

/// How long its certificate is good for.
const LIFE: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub(super) struct Edge {
    ns: NodeNs,
    /// In no mesh, and on no node of one.
    pub(super) visitor: PodNs,
    pub(super) process: Process,
}

impl Edge {
    /// Makes the machine and the visitor; after everybody whose address a manifest has.
    ///
    /// # Errors
    ///
    /// When the machine cannot do it.
    pub(super) fn build(lab: &mut Lab) -> Result<Self, StageError> {
        let ns = lab.node("edge")?;
        let visitor = ns.pod("visitor")?;
        Ok(Self { ns, visitor, process: Process::default() })
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ns.ip4().into(), port)
    }
}

impl Stage {
    /// Makes the certificate, says what the gateway is to do, and starts it.
    ///
    /// # Errors
    ///
    /// When one of that cannot be done.
    pub(super) fn open_edge(&mut self) -> Result<(), StageError> {
        let site = Site::make(HOST, LIFE, SystemClock.now()).map_err(io::Error::other)?;
        fs::write(root(), &site.certificate)?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": SECRET, "namespace": "books"},
            "stringData": {"tls.crt": site.certificate, "tls.key": site.key},
        });
        self.put("books-secret.yaml", &secret.to_string())?;
        self.put("books-gateway.yaml", MANIFEST)?;
        let token = Path::new(FOLDER).join("edge.token");
        self.eventually("the token of the gateway", |stage| stage.token(GATEWAY, &token))?;
        let command = self.roles.gateway(&self.edge.ns, &self.plane, GATEWAY, &token);
        self.edge.process.start(&self.edge.ns, command)
    }

    /// The visitor asks the gateway, over TLS.
    ///
    /// # Errors
    ///
    /// When the client cannot be run; what the network did is in the answer.
    pub(super) fn visit(&self, path: &str) -> Result<Browsed, StageError> {
        let root = root();
        let ask = Ask::once(HOST, path);
        self.visited(&ask, self.edge.at(443), Some(&root))
    }

    /// The same in plain text.
    ///
    /// # Errors
    ///
    /// As above.
    pub(super) fn visit_plainly(&self) -> Result<Browsed, StageError> {
        self.visited(&Ask::once(HOST, "/"), self.edge.at(80), None)
    }

    /// The visitor asks a pod, past the gateway.
    ///
    /// # Errors
    ///
    /// As above.
    pub(super) fn pass_by(&self, to: SocketAddr) -> Result<Browsed, StageError> {
        self.visited(&Ask::once(HOST, "/alone"), to, None)
    }

    fn visited(
        &self,
        &Ask { server, path, .. }: &Ask<'_>,
        at: SocketAddr,
        root: Option<&Path>,
    ) -> Result<Browsed, StageError> {
        let mut command = Command::new(&self.roles.program);
        command.args(["demo-peer", "browse", server, path, "1", "--at", &at.to_string()]);
        if let Some(root) = root {
            command.arg("--root").arg(root);
        }
        self.seen(&self.edge.visitor, command)
    }
}

/// By which the certificate is believed.
fn root() -> PathBuf {
    Path::new(FOLDER).join("books.pem")
}

//! Folders of manifests as large as a mesh gets.
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::stage::MESH;

/// The port of every service, and of every pod behind one.
pub(crate) const SERVICE_PORT: u16 = 80;
pub(crate) const POD_PORT: u16 = 7001;

/// Where the first rule of an app's route applies.
const PREFIX: &str = "/api/v1";

/// Files that changed so lately are looked into again by whoever watches them.
const FRESH: Duration = Duration::from_millis(1200);

/// Apps, each a service of its own with some pods, and a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Apps {
    pub(crate) count: u32,
    pub(crate) pods_each: u32,
    /// Each speaks HTTP, and has a route.
    pub(crate) routed: bool,
}

impl Apps {
    /// Writes them all, and lets them grow old enough to be taken for finished.
    pub(crate) fn write(self, folder: &Path) -> Result<()> {
        for app in 0..self.count {
            fs::write(folder.join(file(app)), self.manifest(app, 0))?;
        }
        thread::sleep(FRESH);
        Ok(())
    }

    /// Gives the first pod of an app another address; returns the pod's name and that address.
    ///
    /// Seen whole or not at all: it is written beside the folder, which is on one file system
    /// with `draft`, and moved into it.
    pub(crate) fn draft_move(self, app: u32, moved: u8, draft: &Path) -> Result<(String, IpAddr)> {
        fs::write(draft, self.manifest(app, moved))?;
        Ok((pod_name(app, 0), self.pod_ip(app, 0, moved)))
    }

    /// How many resources the control plane makes of them.
    pub(crate) fn resources(self) -> Result<usize> {
        Ok(usize::try_from(self.count * (self.pods_each + 1))?)
    }

    /// Gives an app's route another path, seen whole or not at all, as above.
    pub(crate) fn draft_prefix(self, app: u32, prefix: &str, draft: &Path) -> Result<()> {
        let text = self.manifest(app, 0).replace(PREFIX, prefix);
        Ok(fs::write(draft, text)?)
    }

    fn manifest(self, app: u32, moved: u8) -> String {
        let name = format!("app-{app}");
        let mut text = match self.routed {
            true => service(&name, vip(app), &name, "http") + &route(&name),
            false => service(&name, vip(app), &name, "tcp"),
        };
        for pod in 0..self.pods_each {
            let moved = if pod == 0 { moved } else { 0 };
            text += &self::pod(
                &pod_name(app, pod),
                &format!("app-{app}"),
                &format!("node-{}", (app + pod) % 100),
                self.pod_ip(app, pod, moved),
            );
        }
        text
    }

    fn pod_ip(self, app: u32, pod: u32, moved: u8) -> IpAddr {
        let first = Ipv4Addr::new(10, 96 + moved, 0, 0).to_bits();
        Ipv4Addr::from_bits(first + app * self.pods_each + pod).into()
    }
}

/// The file of an app.
pub(crate) fn file(app: u32) -> String {
    format!("app-{app:05}.yaml")
}

/// The address of an app's service.
pub(crate) fn vip(app: u32) -> IpAddr {
    Ipv4Addr::from_bits(Ipv4Addr::new(172, 20, 0, 0).to_bits() + app).into()
}

/// A service whose endpoints are the pods with a label.
pub(crate) fn service(name: &str, vip: IpAddr, app: &str, port: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {MESH}\n\
         spec:\n  clusterIP: {vip}\n  selector:\n    app: {app}\n  ports:\n  - name: {port}\n    \
         port: {SERVICE_PORT}\n    targetPort: {POD_PORT}\n"
    )
}

/// Two rules for a service.
fn route(name: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}\n  \
         namespace: {MESH}\nspec:\n  hosts: [{name}]\n  http:\n  - match:\n    - uri: {{prefix: \
         {PREFIX}}}\n    timeout: 5s\n    route:\n    - destination: {{host: {name}}}\n  - retries: \
         {{attempts: 3, perTryTimeout: 2s}}\n    route:\n    - destination: {{host: {name}}}\n"
    )
}

/// How the engine of a namespace calls an app's routes.
pub(crate) fn routes(app: u32) -> String {
    format!("app-{app}.{MESH}.svc.cluster.local:{SERVICE_PORT}")
}

/// A pod of another node.
pub(crate) fn pod(name: &str, app: &str, node: &str, ip: IpAddr) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: {MESH}\n  \
         labels:\n    app: {app}\n    version: v1\nspec:\n  nodeName: {node}\n  \
         serviceAccountName: {app}\n  containers:\n  - name: main\n    image: none\n    ports:\n    \
         - containerPort: {POD_PORT}\nstatus:\n  phase: Running\n  podIP: {ip}\n"
    )
}

fn pod_name(app: u32, pod: u32) -> String {
    format!("app-{app}-6c9f5d7b4-{pod:05}")
}

//! What is outside of the mesh: a name server, a web server with certificates, and the machine that
//! knows them.
use e2e::{Authority, Mesh, NodeSetup, Proof, Running, eventually, programs::of_machine};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Of the pod `names`, which is the first one of the first node after the control plane's.
const NAMES: &str = "10.77.2.10";

/// A machine's own files, and the authority that it trusts.
pub(super) struct Machine {
    etc: TempDir,
    pub(super) authority: Authority,
}

/// The servers outside.
pub(super) struct Outside {
    _names: Running,
    _web: Running,
}

impl Machine {
    #[track_caller]
    pub(super) fn new() -> Self {
        let etc = TempDir::with_prefix("culvert-etc-").unwrap();
        let authority = Authority::make(&etc.path().join("authority"));
        let machine = Self { etc, authority };
        machine.put("resolv.conf", format!("nameserver {NAMES}\n").as_bytes());
        machine.copy("ssl/certs/ca-certificates.crt", &machine.authority.root());
        machine
    }

    fn put(&self, file: &str, bytes: &[u8]) {
        let path = self.etc.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Puts a file where programs on the machine see it as `/etc/FILE`.
    pub(super) fn copy(&self, file: &str, from: &Path) {
        self.put(file, &fs::read(from).unwrap());
    }

    /// Has a node's proxy see these files; its first pods are those servers.
    pub(super) fn of<'a>(&self, node: &'a mut NodeSetup) -> &'a mut NodeSetup {
        let mount =
            format!("mount -t overlay overlay -o lowerdir={}:/etc /etc", self.etc.path().display());
        let script = format!("{mount}; exec \"$@\"");
        let words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", &script, "sh"];
        node.started_by(&words).outsider("names").outsider("web")
    }
}

impl Outside {
    /// Starts a name server that knows `host` and nobody else, and that host with what `proof`
    /// proves; `server` is more of its configuration.
    #[track_caller]
    pub(super) fn start(mesh: &Mesh, host: &str, proof: &Proof, server: &str) -> Self {
        assert_eq!(mesh.pod("names").v4().to_string(), NAMES);
        Self { _names: names(mesh, host), _web: web(mesh, host, proof, server) }
    }
}

#[track_caller]
fn names(mesh: &Mesh, host: &str) -> Running {
    let mut dnsmasq = of_machine("dnsmasq", "dnsmasq-base");
    dnsmasq.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
    dnsmasq.args(["--user=root", "--pid-file=", "--log-facility=-", "--local=/#/"]);
    dnsmasq.arg(format!("--host-record={host},{}", mesh.pod("web").v4()));
    let names = mesh.pod("names").start(dnsmasq);
    names.lines().await_from(0, "that it serves", |line| line.contains("started").then_some(()));
    names
}

/// A web server for `host` in the pod `web`.
#[track_caller]
pub(super) fn web(mesh: &Mesh, host: &str, proof: &Proof, server: &str) -> Running {
    let at = mesh.folder().join("nginx");
    fs::create_dir(&at).unwrap();
    let [certificate, key, at] = [&proof.certificate, &proof.key, &at].map(|path| path.display());
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = folders.map(|kind| format!("{kind}_temp_path {at}/{kind};\n")).concat();
    let conf = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr;
events {{}}
http {{
  access_log off; default_type text/plain;
  {folders}
  server {{
    listen 443 ssl; server_name {host};
    ssl_certificate {certificate}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    {server}
  }}
}}
"
    );
    let file = mesh.folder().join("nginx.conf");
    fs::write(&file, conf).unwrap();
    let mut nginx = of_machine("nginx", "nginx-light");
    nginx.args(["-e", "stderr", "-c"]).arg(file);
    let pod = mesh.pod("web");
    let nginx = pod.start(nginx);
    eventually("a server outside", || pod.listening().contains(&443).then_some(()));
    nginx
}

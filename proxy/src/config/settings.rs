//! The one table of settings: what exists, what it takes, what it is when nobody sets it.
//!
//! The file's fields, the environment's variables, the flags, `--print-config` and
//! `docs/settings.md` all come from here.
use std::{fmt, path::PathBuf};

/// One setting of a node.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The field in the file; variable and flag are made of it.
    pub(crate) name: &'static str,
    /// What it takes, as `--help` shows it.
    pub(crate) takes: &'static str,
    pub(crate) kind: Kind,
    pub(crate) preset: Preset,
    /// The roles that look at it; a file may hold those of all.
    pub(crate) roles: &'static [Role],
    pub(crate) doc: &'static str,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// `culvert up`: both in one.
    Up,
    /// `culvert node`
    Node,
    /// `culvert control`
    Control,
    /// `culvert gateway NAMESPACE/NAME`
    Gateway,
}

/// How a setting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Count,
    /// A flag without a value means `true`.
    Switch,
    /// A list in the file, words in a variable, a flag that may be repeated.
    List,
}

/// What a setting is when nobody sets it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preset {
    Is(&'static str),
    /// Nothing; the words say what that means.
    Unset(&'static str),
    /// Found on the machine; the words say how.
    Found(&'static str, fn(&Machine) -> String),
    /// The first, and the second for `culvert control`.
    Either(&'static str, &'static str),
    /// The same, and off for a gateway, which may be on a machine that is a node too.
    Door(&'static str, &'static str),
}

/// What is asked of the machine, once.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) hostname: String,
    pub(crate) cores: usize,
    /// Where what outlives processes is kept, one folder for each instance.
    pub(crate) state: PathBuf,
    /// What the process on it is to be.
    pub(crate) role: Role,
}

macro_rules! settings {
    ($($id:ident: $name:literal, $takes:literal, $kind:ident, $preset:expr, $roles:ident, $doc:literal;)*) => {
        $(pub(crate) const $id: Setting = Setting {
            name: $name, takes: $takes, kind: Kind::$kind, preset: $preset, roles: $roles, doc: $doc,
        };)*
        /// Every setting, in the order in which people read them.
        pub(crate) const ALL: &[&Setting] = &[$(&$id),*];
    };
}

use Preset::{Door, Either, Found, Is, Unset};
use Role::{Control, Gateway, Node, Up};

const ALWAYS: &[Role] = &[Up, Node, Control];
/// Beside them a gateway, whose other settings are Envoy's flags.
const ALL_ROLES: &[Role] = &[Up, Node, Control, Gateway];
/// Who holds pods.
const HOLDS: &[Role] = &[Up, Node];
/// Who serves configuration and certificates.
const SERVES: &[Role] = &[Up, Control];
const NODE: &[Role] = &[Node];
/// Who opens tunnels.
const DIALS: &[Role] = &[Up, Node, Gateway];
/// Whose control plane is another process.
const JOINS: &[Role] = &[Node, Gateway];
const CONTROLS: &[Role] = &[Control];
const GATEWAY: &[Role] = &[Gateway];
const UP: &[Role] = &[Up];
/// Who can follow a cluster.
const FOLLOWS: &[Role] = &[Node, Control];

settings! {
    INSTANCE: "instance", "NAME", Text, Either("node", "control"), ALWAYS,
        "Names this process's pins, sockets, state and cgroup: several can run on one machine. Lower-case letters, digits and dashes, at most 40.";
    NODE_NAME: "node_name", "NAME", Text, Found("host name", |machine| machine.hostname.clone()), HOLDS,
        "The node's name; pods whose spec.nodeName is this one, or empty, are held here.";
    CLUSTER: "cluster", "NAME", Text, Is("Kubernetes"), ALL_ROLES,
        "The cluster's name, as metrics and workload uids carry it.";
    NETWORK: "network", "NAME", Text, Is(""), JOINS,
        "The network the node is in, when its control plane does not say so: addresses of others are not dialled directly. Empty: the default one.";
    TRUST_DOMAIN: "trust_domain", "NAME", Text, Is("cluster.local"), ALL_ROLES,
        "The first part of every identity: spiffe://TRUST_DOMAIN/ns/…/sa/….";
    CGROUP_ROOT: "cgroup_root", "PATH", Text, Unset("the cgroup v2 mount"), HOLDS,
        "The cgroup under which connections are captured; every pod of the node must be below it.";
    WORKERS: "workers", "COUNT", Count, Found("available cores", |machine| machine.cores.to_string()), ALWAYS,
        "Threads that carry connections; 1 to 1024.";
    STRICT: "strict", "BOOL", Switch, Is("false"), HOLDS,
        "Guard the pods' host-side veths: a SYN that the proxy did not make is dropped (raw sockets, AF_PACKET).";
    PROBER_CGROUP: "prober_cgroup", "PATH", Text, Unset("with `kubernetes` that of kubelet's service, where there is one; else any process of the node's own namespace"), HOLDS,
        "Only processes of this cgroup (kubelet's) may probe pods without being captured; followed when its service starts anew.";
    EXCLUDE: "exclude", "CIDR[:PORT,…]", List, Unset("nothing is left out"), HOLDS,
        "Destinations that are left alone: 10.0.0.0/8, 10.1.2.3:5432,6379, [fd00::1]:443, fd00::/64:443. At most 8 ports each. A list in the file, separated by spaces in the variable, a flag that may be repeated.";
    MAX_CONNECTIONS_PER_POD: "max_connections_per_pod", "COUNT", Count, Is("20000"), HOLDS,
        "Connections, both directions together, that one pod may have through the proxy; more are refused with reason pod_limit.";
    MAX_CONNECTIONS_PER_ENGINE: "max_connections_per_engine", "COUNT", Count, Is("50000"), HOLDS,
        "Connections that the HTTP engine of one namespace may have at once; more are closed as they come.";
    MAX_REQUESTS_PER_ENGINE: "max_requests_per_engine", "COUNT", Count, Is("20000"), HOLDS,
        "Requests that may be under way at once in the HTTP engine of one namespace; more are answered with 503 and the flag OM, and their connections end.";
    DESCRIPTOR_SHARE: "descriptor_share", "PERCENT", Text, Is("50%"), HOLDS,
        "How much of the process's file descriptors one pod's connections may hold; 1% to 100%.";
    DESCRIPTOR_RESERVE: "descriptor_reserve", "COUNT", Count, Is("1024"), HOLDS,
        "File descriptors that no pod's connection may take: about 60 are the process's own, 8 each pod's listeners, 2 more for each of its name servers, and one for each question that such a server is being asked.";
    BUFFER_MAX: "buffer_max", "8KiB|64KiB|256KiB|1MiB", Text, Is("1MiB"), HOLDS,
        "How large the copy buffer of a busy connection may grow; idle ones have none.";
    CONNECT_TIMEOUT: "connect_timeout", "DURATION", Text, Is("10s"), DIALS,
        "How long a destination has to answer a connect; then the source gets a reset.";
    IDLE_TIMEOUT: "idle_timeout", "DURATION", Text, Is("off"), HOLDS,
        "A connection on which nobody sends for this long is closed; off: never.";
    DRAIN_DEADLINE: "drain_deadline", "DURATION", Text, Is("25s"), ALWAYS,
        "How long connections may go on after SIGTERM or a take-over; then they are cut.";
    LINGER: "linger", "BOOL", Switch, Is("false"), HOLDS,
        "Once another process has taken over, and connections have drained, stay without doing anything until SIGTERM: for a container, which would be started again if it ended, and take the node back.";
    HANDSHAKE_TIMEOUT: "handshake_timeout", "DURATION", Text, Is("10s"), DIALS,
        "How long a peer may take for the TLS and HTTP/2 handshakes of a tunnel.";
    RELEASE_TIMEOUT: "release_timeout", "DURATION", Text, Is("10s"), HOLDS,
        "How long a pod that leaves the mesh stays captured at most, until the control plane says that everybody knows.";
    ENCRYPT_LOCAL: "encrypt_local", "BOOL", Switch, Is("false"), HOLDS,
        "Encrypt also between two pods of this node, whose bytes otherwise never leave this process.";
    DNS: "dns", "BOOL", Switch, Is("true"), HOLDS,
        "Answer the pods' DNS queries for names the mesh knows; others are forwarded from the pod's own namespace.";
    RESOLVERS: "resolvers", "ADDRESS", List, Unset("those of `/etc/netns/NAME/resolv.conf`, else of `/etc/resolv.conf`"), HOLDS,
        "The name servers of pods whose manifests do not say theirs (annotation culvert.dev/resolvers, or dnsConfig with dnsPolicy None). As a pod, culvert has those of the cluster in its own `/etc/resolv.conf` (dnsPolicy ClusterFirstWithHostNet). A list in the file, separated by spaces in the variable, a flag that may be repeated.";
    CNI_CONF_DIR: "cni_conf_dir", "PATH", Text, Unset("pods are not handed over as they are made"), HOLDS,
        "The container runtime's folder of CNI configurations, the same path as on the host: the CNI plugin is put at the end of the list of plugins that the runtime takes, and kept there. `/etc/cni/net.d` as a rule.";
    CNI_BIN_DIR: "cni_bin_dir", "PATH", Text, Unset("the plugin is there already"), HOLDS,
        "The container runtime's folder of CNI plugins, the same path as on the host: this program is put there as `culvert-cni`. `/opt/cni/bin` as a rule.";
    POD_UID: "pod_uid", "UID", Text, Unset("it is in none"), HOLDS,
        "The uid of the pod that the process is in, by the downward API: `culvert ready` tells by it whose answer it gets while one pod's process takes over from another's.";
    POD_GENERATION: "pod_generation", "COUNT", Count, Unset("none is older than another"), HOLDS,
        "Which template of its DaemonSet the pod is of that the process is in, by the downward API (label `pod-template-generation`): it does not take over from a process of a later one.";
    HOST_PROC: "host_proc", "PATH", Text, Is("/proc"), HOLDS,
        "Where the processes of the host are seen: by them pods are found that run already, where the runtime has no names for their network namespaces.";
    CERTIFICATE_LIFE: "certificate_life", "DURATION", Text, Is("24h"), DIALS,
        "For how long certificates are asked; each is renewed around half of it.";
    CRL: "crl", "PATH", Text, Unset("nothing is revoked"), ALL_ROLES,
        "A file of certificate revocation lists, PEM or DER, followed when it changes; a peer with a revoked certificate is cut off, and so is a node from its control plane.";
    CONTROL: "control", "URL", Text, Unset("none; must be set"), JOINS,
        "The control plane: https://HOST:15012, or http://127.0.0.1:15010 on this machine.";
    CONTROL_NAME: "control_name", "NAME", Text, Unset("the host of the URL"), JOINS,
        "The name that the certificate of a foreign control plane must have.";
    JOIN_TOKEN: "join_token", "PATH", Text, Unset("none"), JOINS,
        "The file with the token that `culvert token NODE` printed: it proves that this is NODE, and says how to know the control plane. Read anew for every call; needed at a start, and as long as the node has no certificate of its own. A gateway, whose token `culvert token NAMESPACE/NAME` prints, always needs it.";
    CONTROL_ROOT: "control_root", "PATH", Text, Unset("what the join token says"), JOINS,
        "A PEM file of the roots that vouch for the control plane.";
    L7_CONTROL: "l7_control", "URL", Text, Unset("the control plane"), ALWAYS,
        "Who tells nodes' HTTP engines what to do, by Envoy's discovery (ADS), when that is not the control plane: http://HOST:PORT, or https://HOST:PORT of a server that is known as the control plane is. Each namespace's engine is a client of its own there, `sidecar~IP~NODE.NAMESPACE~NAMESPACE.svc.cluster.local`.";
    CREDENTIALS_DIR: "credentials_dir", "PATH", Text, Unset("no files are read"), HOLDS,
        "The folder below which the node reads the files of certificates and keys that manifests name (clientCertificate, privateKey and caCertificates of a DestinationRule), by the paths that they have there.";
    CA_ADDRESS: "ca_address", "URL", Text, Unset("the control plane"), JOINS,
        "Who signs certificates by Istio's CA protocol, when that is not the control plane: https://HOST:PORT.";
    CA_TOKEN: "ca_token", "PATH", Text, Unset("the join token"), JOINS,
        "The file with the bearer token (a service account's) for a foreign control plane and its CA. Read anew for every call.";
    REPORT: "report", "BOOL", Switch, Is("true"), NODE,
        "Tell the control plane which pods are captured; false for one that is not Culvert's.";
    PODS: "pods", "PATH", List, Unset("none"), NODE,
        "Manifests of the pods of this node: files or folders, followed when they change. A list in the file, separated by spaces in the variable, a flag that may be repeated.";
    AMBIENT_NAMESPACES: "ambient_namespaces", "ours|istio", Text, Is("ours"), ALWAYS,
        "Whose namespaces and pods are that have Istio's label `istio.io/dataplane-mode: ambient`: ours, or those of an Istio in the same cluster, which captures them itself. The same for all processes of a mesh.";
    KUBERNETES: "kubernetes", "BOOL", Switch, Is("false"), FOLLOWS,
        "Objects come from the Kubernetes API instead of manifests: all of them for a control plane, for a node the pods that the API server puts on it (instead of those of `pods`).";
    KUBECONFIG: "kubeconfig", "PATH", Text, Unset("the service account of the pod that this is, else `KUBECONFIG`, else `~/.kube/config`"), FOLLOWS,
        "Where the Kubernetes API is, and who to be there.";
    CONTEXT: "context", "NAME", Text, Unset("the one that the kubeconfig says"), FOLLOWS,
        "Which context of the kubeconfig to use.";
    CONTROL_NAMESPACE: "control_namespace", "NAME", Text, Is("culvert-system"), CONTROLS,
        "With `kubernetes`: where the control plane and the nodes' own pods are. It keeps its authority there, in the Secret `culvert-ca`, and the roots for nodes in the ConfigMap `culvert-root`.";
    NODE_ACCOUNT: "node_account", "NAME", Text, Is("culvert-node"), CONTROLS,
        "With `kubernetes`: the service account of the nodes' own pods, in `control_namespace`. Whoever shows a token of such a pod, made for the audience `culvert`, is the node that the pod is on.";
    XDS_ADDRESS: "xds_address", "ADDRESS", Text, Either("off", "127.0.0.1:15010"), SERVES,
        "Serve configuration in plain text, loopback only, because it asks nobody who they are; off: not.";
    XDS_TLS_ADDRESS: "xds_tls_address", "ADDRESS", Text, Either("off", "0.0.0.0:15012"), SERVES,
        "Serve configuration and certificates to nodes over TLS; off: to nobody but the node in this process.";
    ADMISSION_ADDRESS: "admission_address", "ADDRESS", Text, Is("off"), CONTROLS,
        "Judge policies over TLS for an API server, before it takes them; off: not. Only where objects come from the Kubernetes API.";
    GATEWAY_TEMPLATE: "gateway_template", "PATH", Text, Unset("nothing is made for gateways"), CONTROLS,
        "With `kubernetes`: the file with what pods of gateways look like, a PodTemplateSpec in JSON. For each Gateway of a class whose controller is `culvert.dev/gateway`, and that does not say its addresses itself, a Deployment, a Service and a service account are made. Read at the start.";
    GATEWAYS: "gateways", "NAMESPACE/NAME", List, Unset("none"), UP,
        "Gateways of the mesh that run in this process too, as `culvert gateway NAMESPACE/NAME` does alone: each listens on the machine, in the name of its own service account. A list in the file, separated by spaces in the variable, a flag that may be repeated.";
    GATEWAY_LABELS: "gateway_labels", "KEY=VALUE", List, Unset("none besides the usual ones"), GATEWAY,
        "Labels that the gateway has besides the usual ones, or in their place: Istio's `Gateway`s choose by them with their `selector`. A list in the file, separated by spaces in the variable, a flag that may be repeated.";
    CONTROL_NAMES: "control_names", "NAME", List, Found("the host name", |machine| machine.hostname.clone()), SERVES,
        "Names and addresses by which nodes reach this control plane: what its certificate says. A list in the file, separated by spaces in the variable, a flag that may be repeated.";
    CA_FOLDER: "ca_folder", "PATH", Text, Unset("a root of its own, made once in state_dir, or of a cluster in the Secret `culvert-ca`"), ALWAYS,
        "An authority that signs, with the names of Istio's cacerts: ca-cert.pem, ca-key.pem, root-cert.pem; followed when they change. `culvert node` then signs for its pods itself.";
    STATE_DIR: "state_dir", "PATH", Text, Unset("`/var/lib/culvert/INSTANCE`; without root `~/.local/state/culvert/INSTANCE`"), SERVES,
        "What outlives the process: the root's key, and which pods were captured.";
    ACCESS_LOG: "access_log", "json|text|off", Text, Is("json"), HOLDS,
        "One line per connection on standard output.";
    LOG_FORMAT: "log_format", "json|text", Text, Is("text"), ALWAYS,
        "The process's own log, on standard error.";
    LOG: "log", "DIRECTIVES", Text, Is("info"), ALWAYS,
        "What is logged: a level, or target=level pairs with commas: info,culvert_kernel=debug. Changed at run time by `culvert log`.";
    ADMIN_ADDRESS: "admin_address", "ADDRESS", Text, Door("127.0.0.1:15000", "off"), ALL_ROLES,
        "Read-only admin, loopback only, because it asks nobody who they are; off: only the Unix socket.";
    METRICS_ADDRESS: "metrics_address", "ADDRESS", Text, Door("0.0.0.0:15020", "0.0.0.0:15014"), ALL_ROLES,
        "Prometheus metrics at /metrics, and readiness at /healthz/ready; off: none.";
    READINESS_ADDRESS: "readiness_address", "ADDRESS", Text, Door("0.0.0.0:15021", "off"), ALL_ROLES,
        "Readiness at /healthz/ready; off: none.";
}

impl Role {
    /// The command by which it starts.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Node => "node",
            Self::Control => "control",
            Self::Gateway => "gateway",
        }
    }
}

impl Setting {
    /// Whether processes of this role look at it.
    pub(crate) fn is_for(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// `CULVERT_NODE_NAME`.
    pub(crate) fn variable(&self) -> String {
        format!("CULVERT_{}", self.name.to_uppercase())
    }

    /// `node-name`, without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// How to set it, for the last line of an error: every way there is.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (--{}, {})", self.name, self.flag(), self.variable())
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Is("") => f.write_str("empty"),
            Is(text) => write!(f, "`{text}`"),
            Either(text, control) => write!(f, "`{text}`; control: `{control}`"),
            Door(text, "off") => write!(f, "`{text}`; control, gateway: `off`"),
            Door(text, control) => write!(f, "`{text}`; control: `{control}`; gateway: `off`"),
            Unset(words) | Found(words, _) => f.write_str(words),
        }
    }
}

/// The setting called `name` in the file.
pub(crate) fn by_name(name: &str) -> Option<&'static Setting> {
    ALL.iter().copied().find(|setting| setting.name == name)
}

/// `docs/settings.md`, which a test keeps true.
#[cfg(test)]
fn markdown() -> String {
    let mut page = String::from(HEAD);
    for setting in ALL {
        let Setting { name, takes, kind: _, preset, roles, doc } = setting;
        let takes = takes.replace('|', "\\|");
        let roles: Vec<_> = roles.iter().map(|role| role.command()).collect();
        page.push_str(&format!(
            "| `{name}` | `--{}` | `{}` | `{takes}` | {preset} | {} | {doc} |\n",
            setting.flag(),
            setting.variable(),
            roles.join(" "),
        ));
    }
    page
}

#[cfg(test)]
const HEAD: &str = "\
# Settings

<!-- Written from proxy/src/config/settings.rs; `UPDATE_DOCS=1 cargo test -p culvert settings` writes it anew. -->

A setting comes from the file named by `--config` (or `CULVERT_CONFIG`), from a `CULVERT_*` variable, or from a flag; the later of the three wins.
The file is YAML, one field per setting; one file may serve several processes, each looks at what is for it.
An empty variable counts as not set; an unknown field, variable or flag is an error.
`culvert up|node|control|gateway --print-config` shows what results and where each value came from.
Durations are whole numbers with a unit: `250ms`, `10s`, `5m`, `1h`.

| field | flag | variable | takes | default | for | meaning |
|---|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn settings_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(path, markdown()).unwrap();
        }
        let page = fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == markdown(),
            "docs/settings.md is stale: run UPDATE_DOCS=1 cargo test -p culvert settings"
        );
    }

    #[test]
    fn settings_have_distinct_names() {
        let mut names: Vec<_> = ALL.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}

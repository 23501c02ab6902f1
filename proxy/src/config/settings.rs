//! The one table of settings: what exists, what it takes, what it is when nobody sets it.
//!
//! The file's fields, the environment's variables, the flags, `--print-config` and
//! `docs/settings.md` all come from here.
use std::fmt;

/// One setting of a node.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The field in the file; variable and flag are made of it.
    pub(crate) name: &'static str,
    /// What it takes, as `--help` shows it.
    pub(crate) takes: &'static str,
    pub(crate) kind: Kind,
    pub(crate) preset: Preset,
    pub(crate) doc: &'static str,
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
}

/// What is asked of the machine, once.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) hostname: String,
    pub(crate) cores: usize,
}

macro_rules! settings {
    ($($id:ident: $name:literal, $takes:literal, $kind:ident, $preset:expr, $doc:literal;)*) => {
        $(pub(crate) const $id: Setting = Setting {
            name: $name, takes: $takes, kind: Kind::$kind, preset: $preset, doc: $doc,
        };)*
        /// Every setting, in the order in which people read them.
        pub(crate) const ALL: &[&Setting] = &[$(&$id),*];
    };
}

use Preset::{Found, Is, Unset};

settings! {
    INSTANCE: "instance", "NAME", Text, Is("node"),
        "Names this node's pins, sockets and cgroup: several nodes can run on one machine. Lower-case letters, digits and dashes, at most 40.";
    NODE_NAME: "node_name", "NAME", Text, Found("host name", |machine| machine.hostname.clone()),
        "The node's name; pods whose spec.nodeName is this one, or empty, are held here.";
    CLUSTER: "cluster", "NAME", Text, Is("Kubernetes"),
        "The cluster's name, as metrics and workload uids carry it.";
    TRUST_DOMAIN: "trust_domain", "NAME", Text, Is("cluster.local"),
        "The first part of every identity: spiffe://TRUST_DOMAIN/ns/…/sa/….";
    CGROUP_ROOT: "cgroup_root", "PATH", Text, Unset("the cgroup v2 mount"),
        "The cgroup under which connections are captured; every pod of the node must be below it.";
    WORKERS: "workers", "COUNT", Count, Found("available cores", |machine| machine.cores.to_string()),
        "Threads that carry connections; 1 to 1024.";
    STRICT: "strict", "BOOL", Switch, Is("false"),
        "Guard the pods' host-side veths: a SYN that the proxy did not make is dropped (raw sockets, AF_PACKET).";
    PROBER_CGROUP: "prober_cgroup", "PATH", Text, Unset("any process of the node's own namespace"),
        "Only processes of this cgroup (kubelet's) may probe pods without being captured.";
    EXCLUDE: "exclude", "CIDR[:PORT,…]", List, Unset("nothing is left out"),
        "Destinations that are left alone: 10.0.0.0/8, 10.1.2.3:5432,6379, [fd00::1]:443, fd00::/64:443. At most 8 ports each. A list in the file, separated by spaces in the variable, a flag that may be repeated.";
    MAX_CONNECTIONS_PER_POD: "max_connections_per_pod", "COUNT", Count, Is("20000"),
        "Connections, both directions together, that one pod may have through the proxy; more are refused with reason pod_limit.";
    DESCRIPTOR_SHARE: "descriptor_share", "PERCENT", Text, Is("50%"),
        "How much of the process's file descriptors one pod's connections may hold; 1% to 100%.";
    DESCRIPTOR_RESERVE: "descriptor_reserve", "COUNT", Count, Is("1024"),
        "File descriptors that no pod's connection may take: for listeners (about ten per pod), files and the admin door.";
    BUFFER_MAX: "buffer_max", "8KiB|64KiB|256KiB|1MiB", Text, Is("1MiB"),
        "How large the copy buffer of a busy connection may grow; idle ones have none.";
    CONNECT_TIMEOUT: "connect_timeout", "DURATION", Text, Is("10s"),
        "How long a destination has to answer a connect; then the source gets a reset.";
    IDLE_TIMEOUT: "idle_timeout", "DURATION", Text, Is("off"),
        "A connection on which nobody sends for this long is closed; off: never.";
    DRAIN_DEADLINE: "drain_deadline", "DURATION", Text, Is("25s"),
        "How long connections may go on after SIGTERM or a take-over; then they are cut.";
    ACCESS_LOG: "access_log", "json|text|off", Text, Is("json"),
        "One line per connection on standard output.";
    LOG_FORMAT: "log_format", "json|text", Text, Is("text"),
        "The process's own log, on standard error.";
    LOG: "log", "DIRECTIVES", Text, Is("info"),
        "What is logged: a level, or target=level pairs with commas: info,culvert_kernel=debug. Changed at run time by `culvert log`.";
    ADMIN_ADDRESS: "admin_address", "ADDRESS", Text, Is("127.0.0.1:15000"),
        "Read-only admin, loopback only, because it asks nobody who they are; off: only the Unix socket.";
    METRICS_ADDRESS: "metrics_address", "ADDRESS", Text, Is("0.0.0.0:15020"),
        "Prometheus metrics at /metrics; off: none.";
    READINESS_ADDRESS: "readiness_address", "ADDRESS", Text, Is("0.0.0.0:15021"),
        "Readiness at /healthz/ready; off: none.";
}

impl Setting {
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
            Is(text) => write!(f, "`{text}`"),
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
        let Setting { name, takes, kind: _, preset, doc } = setting;
        let takes = takes.replace('|', "\\|");
        page.push_str(&format!(
            "| `{name}` | `--{}` | `{}` | `{takes}` | {preset} | {doc} |\n",
            setting.flag(),
            setting.variable()
        ));
    }
    page
}

#[cfg(test)]
const HEAD: &str = "\
# Settings of a node

<!-- Written from proxy/src/config/settings.rs; `UPDATE_DOCS=1 cargo test -p culvert settings` writes it anew. -->

A setting comes from the file named by `--config` (or `CULVERT_CONFIG`), from a `CULVERT_*` variable, or from a flag; the later of the three wins.
The file is YAML, one field per setting.
An empty variable counts as not set; an unknown field, variable or flag is an error.
`culvert up --print-config` shows what results and where each value came from.
Durations are whole numbers with a unit: `250ms`, `10s`, `5m`, `1h`.

| field | flag | variable | takes | default | meaning |
|---|---|---|---|---|---|
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

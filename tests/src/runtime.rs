//! A container runtime, as far as CNI goes: it calls the first list of a folder, plugin by plugin.
use crate::{node::Node, programs};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A runtime's two folders.
#[derive(Debug)]
pub struct Runtime {
    pub conf_dir: PathBuf,
    pub bin_dir: PathBuf,
}

/// A pod's sandbox, as the runtime made it.
#[derive(Clone, Copy, Debug)]
pub struct Sandbox<'a> {
    pub container: &'a str,
    pub netns: &'a Path,
    /// `namespace/name` of the pod.
    pub pod: &'a str,
}

impl Runtime {
    /// One with the real plugins and no configuration, below `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::with(folder, &programs::cni_plugins())
    }

    /// One with plugins that know CNI 1.1.
    #[must_use]
    pub fn newer(folder: &Path) -> Self {
        Self::with(folder, &programs::newer_cni())
    }

    fn with(folder: &Path, plugins: &Path) -> Self {
        let (conf_dir, bin_dir) = (folder.join("net.d"), folder.join("cni-bin"));
        for dir in [&conf_dir, &bin_dir] {
            fs::create_dir_all(dir).expect("a folder");
        }
        for plugin in ["bridge", "host-local"] {
            let there = plugins.join(plugin);
            let link = bin_dir.join(plugin);
            if !link.exists() {
                std::os::unix::fs::symlink(there, link).expect("a link");
            }
        }
        Self { conf_dir, bin_dir }
    }

    /// Writes a configuration at one stroke.
    pub fn configure(&self, name: &str, conf: &str) {
        let draft = self.conf_dir.join("draft");
        fs::write(&draft, conf).expect("a draft");
        fs::rename(&draft, self.conf_dir.join(name)).expect("a configuration");
    }

    /// The text of a configuration.
    #[must_use]
    pub fn configured(&self, name: &str) -> String {
        fs::read_to_string(self.conf_dir.join(name)).unwrap_or_default()
    }

    /// Calls every plugin in turn, each with what the one before made.
    ///
    /// # Errors
    ///
    /// What the first plugin that fails says.
    pub fn add(&self, node: &Node, sandbox: Sandbox<'_>) -> Result<Value, Value> {
        let list = self.list();
        let mut made = Value::Null;
        for plugin in list["plugins"].as_array().expect("plugins") {
            made = self.call(node, "ADD", sandbox, &conf(&list, plugin, &made))?;
        }
        Ok(made)
    }

    /// The same backwards.
    ///
    /// # Errors
    ///
    /// What the first plugin that fails says.
    pub fn del(&self, node: &Node, sandbox: Sandbox<'_>) -> Result<Value, Value> {
        let list = self.list();
        for plugin in list["plugins"].as_array().expect("plugins").iter().rev() {
            self.call(node, "DEL", sandbox, &conf(&list, plugin, &Value::Null))?;
        }
        Ok(Value::Null)
    }

    /// Calls our plugin alone, as if one before had made `made`.
    ///
    /// # Errors
    ///
    /// What it says when it fails.
    pub fn call_ours(
        &self,
        node: &Node,
        command: &str,
        sandbox: Sandbox<'_>,
        made: &Value,
    ) -> Result<Value, Value> {
        let list = self.list();
        let plugins = list["plugins"].as_array().expect("plugins");
        let ours = plugins.iter().find(|plugin| plugin["type"] == "culvert-cni");
        self.call(node, command, sandbox, &conf(&list, ours.expect("an entry of ours"), made))
    }

    /// Has the tool of CNI's own library do something (`add`, `check`, `gc` …) with the list `pods`;
    /// what it printed.
    ///
    /// # Errors
    ///
    /// What it says when it fails.
    pub fn tool(&self, node: &Node, does: &str, sandbox: Sandbox<'_>) -> Result<Value, String> {
        let Sandbox { netns, pod, .. } = sandbox;
        let (namespace, name) = pod.split_once('/').expect("a namespace and a name");
        let mut tool = Command::new(programs::newer_cni().join("cnitool"));
        tool.args([does, "pods"]).arg(netns).env_clear();
        tool.env("CNI_PATH", &self.bin_dir).env("NETCONFPATH", &self.conf_dir);
        let pod = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}");
        tool.env("CNI_ARGS", pod).stdin(Stdio::null());
        tool.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = node.ns.spawn(tool).unwrap_or_else(|e| panic!("cnitool: {e:?}"));
        let Output { status, stdout, stderr } = child.output().expect("a child can be waited for");
        if status.success() {
            return Ok(serde_json::from_slice(&stdout).unwrap_or_default());
        }
        Err(String::from_utf8_lossy(&stderr).into_owned())
    }

    fn list(&self) -> Value {
        let entries = fs::read_dir(&self.conf_dir).expect("a folder").flatten();
        let mut lists: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "conflist"))
            .collect();
        lists.sort();
        let first = fs::read(lists.first().expect("a list of plugins")).expect("a list");
        serde_json::from_slice(&first).expect("a list that is JSON")
    }

    fn call(
        &self,
        node: &Node,
        command: &str,
        Sandbox { container, netns, pod }: Sandbox<'_>,
        conf: &Value,
    ) -> Result<Value, Value> {
        let plugin = conf["type"].as_str().expect("a type");
        let (namespace, name) = pod.split_once('/').expect("a namespace and a name");
        let mut program = Command::new(self.bin_dir.join(plugin));
        program
            .env_clear()
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", container)
            .env("CNI_NETNS", netns)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", &self.bin_dir)
            .env(
                "CNI_ARGS",
                format!(
                    "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID="
                ),
            );
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = node.ns.spawn(program).unwrap_or_else(|e| panic!("{plugin}: {e:?}"));
        if let Some(mut stdin) = child.stdin() {
            // One that does not read it says why.
            drop(stdin.write_all(conf.to_string().as_bytes()));
        }
        let Output { status, stdout, stderr } = child.output().expect("a child can be waited for");
        let said = serde_json::from_slice(&stdout).unwrap_or_else(|_| {
            Value::String(String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
        });
        if status.success() { Ok(said) } else { Err(said) }
    }
}

/// What a plugin reads: its entry, what the list says of all, and what was made before it.
fn conf(list: &Value, plugin: &Value, made: &Value) -> Value {
    let mut conf = plugin.clone();
    for key in ["name", "cniVersion"] {
        conf[key] = list[key].clone();
    }
    if !made.is_null() {
        conf["prevResult"] = made.clone();
    }
    conf
}

/// A list with the bridge plugin, which gives a pod these addresses and no other.
#[must_use]
pub fn bridge(folder: &Path, pod: &crate::Pod) -> String {
    let [v4, v6] = pod.ns.ips();
    let range = |ip: std::net::IpAddr, subnet: String, gateway: String| json!([{"subnet": subnet, "rangeStart": ip, "rangeEnd": ip, "gateway": gateway}]);
    let net4 = v4.to_string().rsplit_once('.').map(|(net, _)| net.to_owned()).unwrap_or_default();
    let net6 = v6.to_string().rsplit_once("::").map(|(net, _)| net.to_owned()).unwrap_or_default();
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": {
                "type": "host-local",
                "dataDir": folder.join("ipam"),
                "ranges": [
                    range(v4, format!("{net4}.0/24"), format!("{net4}.254")),
                    range(v6, format!("{net6}::/64"), format!("{net6}::fe")),
                ],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }],
    });
    serde_json::to_string_pretty(&list).expect("a list")
}

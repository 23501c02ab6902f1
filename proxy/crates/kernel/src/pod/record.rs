//! What was changed for each pod, kept under the run folder so that it can be undone after a crash.
use crate::{instance::Instance, maps::Maps, node::NodeError, pod::guard::Guarded};
use culvert_common::pod::{FAIL_OPEN, HAS_DNS, HAS_EXCLUDES, PodCfg};
use culvert_model::name::WorkloadUid;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    net::IpAddr,
    path::PathBuf,
};

mod file;

pub(crate) use file::{forget, paths, read, taken_by};

use file::{folder, io_error, path, pinned, read_all, replace};

/// One pod as it was enrolled.
///
/// Written before anything is changed; what it says was done may therefore not have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) uid: String,
    pub(crate) pod_id: u32,
    pub(crate) netns: PathBuf,
    pub(crate) inode: u64,
    pub(crate) cookie: u64,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) fail_open: bool,
    pub(crate) out_port: u16,
    /// Networks with an entry in `EXCLUDE`.
    pub(crate) exclusions: Vec<String>,
    /// Whether IPv6 was routed too.
    pub(crate) v6: bool,
    /// The sysctls as they were before the first generation changed them.
    pub(crate) sysctls: BTreeMap<String, String>,
    pub(crate) guard: Option<Guarded>,
    /// Where its name servers are stood in for.
    #[serde(default)]
    pub(crate) names: Vec<Names>,
}

/// The proxy in the place of one name server of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    pub(crate) resolver: IpAddr,
    /// Kept for as long as the pod lives: an application's socket may be connected to it.
    pub(crate) udp: u16,
    pub(crate) tcp: u16,
}

/// The records of every pod, and which of them this process holds.
#[derive(Debug)]
pub(crate) struct Registry {
    run_dir: PathBuf,
    /// The lowest id that no pod had yet.
    next_id: PathBuf,
    pins: PathBuf,
    records: BTreeMap<u32, Record>,
    /// By pod id, who holds it; a later holder of the same pod has another token.
    holders: HashMap<u32, u64>,
    last_token: u64,
}

/// One holding of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    own: u64,
    before: Option<u64>,
}

/// Why a record was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not a record of a pod; `culvert uninstall` removes it", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

impl Record {
    pub(crate) fn uid(&self) -> WorkloadUid {
        WorkloadUid::new(self.uid.as_str())
    }

    pub(crate) fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.exclusions.iter().filter_map(|network| network.parse().ok())
    }

    /// The value of `PODS` that captures it.
    pub(crate) fn config(&self) -> PodCfg {
        let mut config =
            PodCfg { pod_id: self.pod_id, out_port_be: self.out_port.to_be(), ..PodCfg::default() };
        for ip in &self.ips {
            match ip {
                IpAddr::V4(v4) => config.ip4_be = u32::from_ne_bytes(v4.octets()),
                // Without IPv6 in the pod nothing listens there: such connects are to be refused.
                IpAddr::V6(_) if self.v6 => config.ip6 = culvert_common::addr::from_ip(*ip),
                IpAddr::V6(_) => {}
            }
        }
        if self.fail_open {
            config.flags |= FAIL_OPEN;
        }
        if !self.exclusions.is_empty() {
            config.flags |= HAS_EXCLUDES;
        }
        if !self.names.is_empty() {
            config.flags |= HAS_DNS;
        }
        config
    }
}

impl Registry {
    pub(crate) fn open(instance: &Instance) -> Result<Self, RecordError> {
        let run_dir = instance.run_dir();
        let dir = folder(&run_dir);
        fs::create_dir_all(&dir).map_err(io_error("make", &dir))?;
        let mut registry = Self {
            next_id: run_dir.join("next-pod-id"),
            run_dir,
            pins: instance.pins().join("pods"),
            records: BTreeMap::new(),
            holders: HashMap::new(),
            last_token: 0,
        };
        registry.reload()?;
        Ok(registry)
    }

    /// Reads what is recorded: other generations may have changed also what this one holds.
    pub(crate) fn reload(&mut self) -> Result<(), RecordError> {
        self.records = read_all(&self.run_dir)?;
        Ok(())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The record of this life of a pod.
    ///
    /// # Errors
    ///
    /// Whose the namespace is, when it is another pod's.
    pub(crate) fn life(
        &self,
        uid: &WorkloadUid,
        cookie: u64,
    ) -> Result<Option<&Record>, WorkloadUid> {
        match self.all().find(|record| record.cookie == cookie) {
            Some(other) if other.uid != uid.as_str() => Err(other.uid()),
            found => Ok(found),
        }
    }

    /// What is recorded of a pod's former lives that this process does not hold: those that it
    /// holds are let go by whoever has them.
    pub(crate) fn former_lives(&self, uid: &WorkloadUid, cookie: u64) -> Vec<Record> {
        let former = self.all().filter(|record| {
            record.uid == uid.as_str() && record.cookie != cookie && !self.is_held(record.pod_id)
        });
        former.cloned().collect()
    }

    pub(crate) fn get(&self, pod_id: u32) -> Option<&Record> {
        self.records.get(&pod_id)
    }

    /// Keeps a record, on disk first.
    pub(crate) fn put(&mut self, record: Record) -> Result<(), RecordError> {
        let path = path(&self.run_dir, record.pod_id);
        let text = serde_json::to_vec_pretty(&record)
            .map_err(|source| RecordError::Malformed { path: path.clone(), source })?;
        replace(&path, &text)?;
        self.records.insert(record.pod_id, record);
        Ok(())
    }

    /// Forgets a pod; one that is not there is forgotten already.
    pub(crate) fn remove(&mut self, pod_id: u32) -> Result<(), RecordError> {
        forget(&path(&self.run_dir, pod_id))?;
        self.records.remove(&pod_id);
        self.holders.remove(&pod_id);
        Ok(())
    }

    /// An id that no pod had since the pins were made.
    pub(crate) fn new_id(&self) -> Result<u32, RecordError> {
        let path = &self.next_id;
        let kept = match fs::read_to_string(path) {
            Ok(text) => text.trim().parse().unwrap_or(1),
            Err(e) if e.kind() == io::ErrorKind::NotFound => 1,
            Err(e) => return Err(io_error("read", path)(e)),
        };
        // The file may be gone while pins are not.
        let recorded = self.records.keys().next_back().map_or(1, |last| last + 1);
        let id = pinned(&self.pins).map_or(1, |last| last + 1).max(kept).max(recorded);
        replace(path, (id + 1).to_string().as_bytes())?;
        Ok(id)
    }

    /// Takes hold of a pod; whoever held it before does not any more.
    pub(crate) fn hold(&mut self, pod_id: u32) -> Token {
        self.last_token += 1;
        let before = self.holders.insert(pod_id, self.last_token);
        Token { own: self.last_token, before }
    }

    pub(crate) fn is_held_by(&self, pod_id: u32, token: Token) -> bool {
        self.holders.get(&pod_id) == Some(&token.own)
    }

    pub(crate) fn is_held(&self, pod_id: u32) -> bool {
        self.holders.contains_key(&pod_id)
    }

    pub(crate) fn let_go(&mut self, pod_id: u32, token: Token) {
        if self.is_held_by(pod_id, token) {
            self.holders.remove(&pod_id);
        }
    }

    /// Gives a pod back to whoever held it before.
    pub(crate) fn give_back(&mut self, pod_id: u32, token: Token) {
        self.let_go(pod_id, token);
        if let Some(before) = token.before {
            self.holders.entry(pod_id).or_insert(before);
        }
    }

    /// Puts every recorded pod into fresh maps.
    pub(crate) fn seed(&self, maps: &Maps) -> Result<(), NodeError> {
        for record in self.all() {
            maps.pods
                .set_if_absent(&record.cookie, &record.config())
                .map_err(|source| NodeError::Map { map: "PODS", source })?;
        }
        Ok(())
    }
}

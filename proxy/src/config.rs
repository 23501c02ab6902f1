//! The settings of a process: file, environment and flags merged, checked, every problem at once.
pub(crate) mod cni;
pub(crate) mod flags;
pub(crate) mod gateways;
pub(crate) mod mesh;
mod parse;
pub(crate) mod raw;
pub(crate) mod report;
pub(crate) mod settings;
pub(crate) mod sources;
mod url;

pub(crate) use {parse::Percent, url::Url};

use cni::Cni;
use culvert_control::compile::Ambient;
use culvert_model::pod::Exclusion;
use culvert_telemetry::{access::AccessFormat, log::LogFormat};
use gateways::Gateways;
use mesh::{Mesh, Serve};
use raw::{Layer, Origin, Piece, Problem};
use report::{Entry, Report};
use settings::{Machine, Preset, Role, Setting};
use sources::Sources;
use std::{fmt, net::SocketAddr, num::NonZeroU16, path::PathBuf, time::Duration};

/// What a process runs with.
///
/// Holding one means every field has been checked; nothing downstream checks again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) role: Role,
    pub(crate) instance: String,
    pub(crate) node_name: String,
    pub(crate) cluster: String,
    pub(crate) trust_domain: String,
    /// Whose the pods are that have Istio's label.
    pub(crate) ambient: Ambient,
    /// Who serves L7; `None`: the control plane of the node, as far as it does.
    pub(crate) l7_control: Option<Url>,
    /// Where manifests may name files of certificates.
    pub(crate) credentials_dir: Option<PathBuf>,
    /// An authority that somebody gave.
    pub(crate) ca_folder: Option<PathBuf>,
    pub(crate) cgroup_root: Option<PathBuf>,
    pub(crate) workers: NonZeroU16,
    pub(crate) capture: Capture,
    pub(crate) limits: Limits,
    pub(crate) drain_deadline: Duration,
    /// That this process is in.
    pub(crate) pod_uid: Option<String>,
    /// Of which template that pod is; a later one goes before.
    pub(crate) pod_generation: Option<u64>,
    /// Whether to stay after a take-over.
    pub(crate) linger: bool,
    pub(crate) logs: Logs,
    pub(crate) doors: Doors,
    pub(crate) mesh: Mesh,
    pub(crate) cni: Cni,
    pub(crate) gateways: Gateways,
    pub(crate) serve: Serve,
}

/// What the kernel is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) strict: bool,
    pub(crate) prober_cgroup: Option<PathBuf>,
    pub(crate) exclude: Vec<Exclusion>,
}

/// What connections may take, of a pod and of a namespace's HTTP engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_connections_per_pod: u32,
    pub(crate) max_connections_per_engine: u32,
    pub(crate) max_requests_per_engine: u32,
    pub(crate) descriptor_share: Percent,
    pub(crate) descriptor_reserve: u32,
    /// In bytes.
    pub(crate) buffer_max: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logs {
    pub(crate) access: AccessFormat,
    pub(crate) format: LogFormat,
    pub(crate) directives: String,
}

/// Where the node answers questions; `None`: nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doors {
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) readiness: Option<SocketAddr>,
    /// Configuration in plain text.
    pub(crate) xds: Option<SocketAddr>,
    /// Configuration and certificates over TLS.
    pub(crate) xds_tls: Option<SocketAddr>,
}

/// Everything wrong with the settings, so that one restart mends it.
#[derive(Debug)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the settings have a problem"),
            n => write!(f, "the settings have {n} problems"),
        }
    }
}

impl Config {
    /// Merges and checks what the sources say.
    ///
    /// # Errors
    ///
    /// All problems at once, each with its place.
    pub(crate) fn check(sources: Sources, machine: &Machine) -> Result<(Self, Report), Problems> {
        let mut values = Values::merge(sources, machine);
        let config = Self::read(&mut values);
        match config {
            Some(config) if values.problems.is_empty() => Ok((config, values.report)),
            _ => {
                values.problems.sort_by(|a, b| a.origin.cmp(&b.origin));
                Err(Problems(values.problems))
            }
        }
    }

    /// Every setting is read before the first missing one ends it: `?` comes last.
    fn read(v: &mut Values) -> Option<Self> {
        use settings as s;
        let instance = v.one(&s::INSTANCE, parse::instance);
        let node_name = v.one(&s::NODE_NAME, parse::name);
        let cluster = v.one(&s::CLUSTER, parse::name);
        let trust_domain = v.one(&s::TRUST_DOMAIN, parse::trust_domain);
        let ambient = v.one(&s::AMBIENT_NAMESPACES, parse::ambient);
        let l7_control = v.maybe(&s::L7_CONTROL, url::url);
        let credentials_dir = v.maybe(&s::CREDENTIALS_DIR, parse::absolute_path);
        let ca_folder = v.maybe(&s::CA_FOLDER, parse::path);
        let cgroup_root = v.maybe(&s::CGROUP_ROOT, parse::absolute_path);
        let workers = v.one(&s::WORKERS, parse::workers);
        let capture = v.capture();
        let limits = v.limits();
        let drain_deadline = v.one(&s::DRAIN_DEADLINE, parse::duration);
        let pod_uid = v.maybe(&s::POD_UID, parse::name);
        let pod_generation = v.maybe(&s::POD_GENERATION, parse::number);
        let linger = v.one(&s::LINGER, parse::switch);
        let logs = v.logs();
        let doors = v.doors();
        let mesh = v.mesh();
        let cni = v.cni();
        let gateways = v.gateways();
        let serve = v.serve(instance.as_deref());
        Some(Self {
            role: v.role,
            instance: instance?,
            node_name: node_name?,
            cluster: cluster?,
            trust_domain: trust_domain?,
            ambient: ambient?,
            l7_control: l7_control?,
            credentials_dir: credentials_dir?,
            ca_folder: ca_folder?,
            cgroup_root: cgroup_root?,
            workers: workers?,
            capture: capture?,
            limits: limits?,
            drain_deadline: drain_deadline?,
            pod_uid: pod_uid?,
            pod_generation: pod_generation?,
            linger: linger?,
            logs: logs?,
            doors: doors?,
            mesh: mesh?,
            cni: cni?,
            gateways: gateways?,
            serve: serve?,
        })
    }
}

/// The merged text of every setting, and what is found wrong while it is read.
#[derive(Debug)]
struct Values {
    role: Role,
    state: PathBuf,
    merged: Layer,
    problems: Vec<Problem>,
    report: Report,
}

impl Values {
    fn merge(sources: Sources, machine: &Machine) -> Self {
        let Sources { file, variables, flags, problems } = sources;
        let mut merged: Layer = settings::ALL
            .iter()
            .filter_map(|setting| {
                let text = match setting.preset {
                    Preset::Is(text) => text.to_owned(),
                    Preset::Found(_, find) => find(machine),
                    Preset::Door(..) if machine.role == Role::Gateway => "off".to_owned(),
                    Preset::Either(_, text) | Preset::Door(_, text)
                        if machine.role == Role::Control =>
                    {
                        text.to_owned()
                    }
                    Preset::Either(text, _) | Preset::Door(text, _) => text.to_owned(),
                    Preset::Unset(_) => return None,
                };
                Some((setting.name, vec![Piece { text, origin: Origin::Default }]))
            })
            .collect();
        for layer in [file, variables, flags] {
            merged.extend(layer);
        }
        let report = Report(
            settings::ALL
                .iter()
                .filter(|setting| setting.is_for(machine.role))
                .map(|setting| Entry::new(setting, merged.get(setting.name).map_or(&[], |p| p)))
                .collect(),
        );
        let Machine { role, state, .. } = machine;
        Self { role: *role, state: state.clone(), merged, problems, report }
    }

    /// A setting with one value.
    fn one<T>(&mut self, setting: &Setting, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        self.maybe(setting, parse).flatten()
    }

    /// A setting that may be unset; the outer `None` says that it is wrong.
    fn maybe<T>(
        &mut self,
        setting: &Setting,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.all(setting, parse).map(|values| values.into_iter().next_back())
    }

    /// A setting with any number of values.
    fn all<T>(
        &mut self,
        setting: &Setting,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let pieces = self.merged.get(setting.name).map_or(&[][..], |pieces| pieces);
        let before = self.problems.len();
        let mut values = Vec::with_capacity(pieces.len());
        for Piece { text, origin } in pieces {
            match parse(text.trim()) {
                Ok(value) => values.push(value),
                Err(wrong) => self.problems.push(problem(setting, origin, &wrong)),
            }
        }
        (self.problems.len() == before).then_some(values)
    }

    fn capture(&mut self) -> Option<Capture> {
        let strict = self.one(&settings::STRICT, parse::switch);
        let prober_cgroup = self.maybe(&settings::PROBER_CGROUP, parse::absolute_path);
        let exclude = self.all(&settings::EXCLUDE, parse::exclusion);
        Some(Capture { strict: strict?, prober_cgroup: prober_cgroup?, exclude: exclude? })
    }

    fn limits(&mut self) -> Option<Limits> {
        let most = |text: &str| parse::count(text, 1, 10_000_000);
        let max_connections_per_pod = self.one(&settings::MAX_CONNECTIONS_PER_POD, most);
        let max_connections_per_engine = self.one(&settings::MAX_CONNECTIONS_PER_ENGINE, most);
        let max_requests_per_engine = self.one(&settings::MAX_REQUESTS_PER_ENGINE, most);
        let descriptor_share = self.one(&settings::DESCRIPTOR_SHARE, parse::percent);
        let descriptor_reserve =
            self.one(&settings::DESCRIPTOR_RESERVE, |text| parse::count(text, 16, 1_000_000));
        let buffer_max = self.one(&settings::BUFFER_MAX, parse::buffer);
        let connect_timeout = self.one(&settings::CONNECT_TIMEOUT, parse::duration);
        let idle_timeout = self.one(&settings::IDLE_TIMEOUT, parse::duration_or_off);
        Some(Limits {
            max_connections_per_pod: max_connections_per_pod?,
            max_connections_per_engine: max_connections_per_engine?,
            max_requests_per_engine: max_requests_per_engine?,
            descriptor_share: descriptor_share?,
            descriptor_reserve: descriptor_reserve?,
            buffer_max: buffer_max?,
            connect_timeout: connect_timeout?,
            idle_timeout: idle_timeout?,
        })
    }

    fn logs(&mut self) -> Option<Logs> {
        let access = self.one(&settings::ACCESS_LOG, parse::access_log);
        let format = self.one(&settings::LOG_FORMAT, parse::log_format);
        let directives = self.one(&settings::LOG, parse::directives);
        Some(Logs { access: access?, format: format?, directives: directives? })
    }

    fn doors(&mut self) -> Option<Doors> {
        let admin = self.one(&settings::ADMIN_ADDRESS, parse::loopback_or_off);
        let metrics = self.one(&settings::METRICS_ADDRESS, parse::address_or_off);
        let readiness = self.one(&settings::READINESS_ADDRESS, parse::address_or_off);
        let xds = self.one(&settings::XDS_ADDRESS, parse::loopback_or_off);
        let xds_tls = self.one(&settings::XDS_TLS_ADDRESS, parse::address_or_off);
        // A file may hold what is for another process.
        let serves = settings::XDS_ADDRESS.is_for(self.role);
        let (xds, xds_tls) =
            if serves { (xds, xds_tls) } else { (xds.and(Some(None)), xds_tls.and(Some(None))) };
        self.apart(&[
            (&settings::ADMIN_ADDRESS, admin.flatten()),
            (&settings::METRICS_ADDRESS, metrics.flatten()),
            (&settings::READINESS_ADDRESS, readiness.flatten()),
            (&settings::XDS_ADDRESS, xds.flatten()),
            (&settings::XDS_TLS_ADDRESS, xds_tls.flatten()),
        ]);
        Some(Doors {
            admin: admin?,
            metrics: metrics?,
            readiness: readiness?,
            xds: xds?,
            xds_tls: xds_tls?,
        })
    }

    /// No two doors on one address: the start would blame it on a stranger.
    fn apart(&mut self, doors: &[(&'static Setting, Option<SocketAddr>)]) {
        let pairs = doors
            .iter()
            .enumerate()
            .flat_map(|(i, a)| doors.iter().skip(i + 1).map(move |b| (*a, *b)));
        for (a, b) in pairs {
            let ((one, Some(at)), (other, Some(theirs))) = (a, b) else { continue };
            let any = at.ip().is_unspecified() || theirs.ip().is_unspecified();
            if at.port() != theirs.port() || !any && at.ip() != theirs.ip() {
                continue;
            }
            // Said of the one that somebody set.
            let (one, at, other, theirs) = match self.origin(one) > self.origin(other) {
                true => (one, at, other, theirs),
                false => (other, theirs, one, at),
            };
            let wrong = format!("{at} is taken by {}, {theirs}", other.name);
            self.problems.push(problem(one, &self.origin(one), &wrong));
        }
    }

    /// Where a setting's value comes from.
    fn origin(&self, setting: &Setting) -> Origin {
        let piece = self.merged.get(setting.name).and_then(|pieces| pieces.last());
        piece.map_or(Origin::Default, |piece| piece.origin.clone())
    }
}

/// Whether `text` can name an instance; if not, why.
pub(crate) fn instance_name(text: &str) -> Result<String, String> {
    parse::instance(text)
}

/// A whole number with a unit; if it is none, why.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse::duration(text)
}

/// A variable and a flag name the setting already.
fn problem(setting: &Setting, origin: &Origin, wrong: &str) -> Problem {
    let message = match origin {
        Origin::Default | Origin::File { .. } => format!("{}: {wrong}", setting.name),
        Origin::Variable(_) | Origin::Flag(_) => wrong.to_owned(),
    };
    Problem { origin: origin.clone(), message }
}

#[cfg(test)]
mod tests;

//! What a proxy says of its workload.
//!
//! It informs metrics and logs; nothing is decided by it, for nothing proves it.
use super::{BAGGAGE, is_name};
use culvert_model::member::{Member, OwnerKind};
use http::{HeaderMap, HeaderValue};
use std::{fmt, sync::Arc};

/// A list longer than this is not read on.
const BYTES_MAX: usize = 8192;

/// A workload in the words of OpenTelemetry; what is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage {
    pub cluster: Option<Arc<str>>,
    pub namespace: Option<Arc<str>>,
    pub owner: Option<Owner>,
    /// The canonical name.
    pub service: Option<Arc<str>>,
    /// The canonical revision.
    pub version: Option<Arc<str>>,
    pub region: Option<Arc<str>>,
    pub zone: Option<Arc<str>>,
}

/// What made the workload, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub kind: OwnerKind,
    pub name: Arc<str>,
}

impl Baggage {
    /// What is said of `member`.
    pub fn of(member: &Member) -> Self {
        let some = |text: &Arc<str>| is_name(text).then(|| Arc::clone(text));
        let name = if member.owner.is_empty() { &member.name.name } else { &member.owner };
        Self {
            cluster: some(&member.cluster),
            namespace: some(&member.name.namespace),
            owner: some(name).map(|name| Owner { kind: member.owner_kind, name }),
            service: some(&member.canonical_name),
            version: some(&member.canonical_revision),
            region: some(&member.locality.region),
            zone: some(&member.locality.zone),
        }
    }

    /// Reads a list; what is not known or cannot be read is passed over.
    pub fn parse(text: &str) -> Self {
        let mut baggage = Self::default();
        if text.len() <= BYTES_MAX {
            text.split(',').for_each(|member| baggage.read(member));
        }
        baggage
    }

    pub(super) fn of_headers(headers: &HeaderMap) -> Self {
        let mut baggage = Self::default();
        let lists = headers.get_all(BAGGAGE).iter().filter_map(|list| list.to_str().ok());
        for list in lists.filter(|list| list.len() <= BYTES_MAX) {
            list.split(',').for_each(|member| baggage.read(member));
        }
        baggage
    }

    /// What the answer to a request said.
    pub(crate) fn of_answer(headers: &HeaderMap) -> Self {
        Self::of_headers(headers)
    }

    /// Adds the header, unless there is nothing to say.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let list = self.to_string();
        if list.is_empty() {
            return;
        }
        if let Ok(list) = HeaderValue::try_from(list) {
            headers.insert(BAGGAGE, list);
        }
    }

    /// One member, `name=value`; properties after a semicolon mean nothing here.
    fn read(&mut self, member: &str) {
        let Some((name, value)) = member.split_once('=') else { return };
        let value = value.split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
        if !is_name(value) {
            return;
        }
        let name = name.trim_matches([' ', '\t']);
        let made_by = OWNERS.iter().find(|(_, key)| *key == name);
        if let Some((kind, _)) = made_by {
            self.owner = Some(Owner { kind: *kind, name: value.into() });
            return;
        }
        let place = match name {
            "k8s.cluster.name" => &mut self.cluster,
            "k8s.namespace.name" => &mut self.namespace,
            "service.name" => &mut self.service,
            "service.version" => &mut self.version,
            "cloud.region" => &mut self.region,
            "cloud.availability_zone" => &mut self.zone,
            _ => return,
        };
        *place = Some(value.into());
    }
}

const OWNERS: [(OwnerKind, &str); 4] = [
    (OwnerKind::Deployment, "k8s.deployment.name"),
    (OwnerKind::CronJob, "k8s.cronjob.name"),
    (OwnerKind::Pod, "k8s.pod.name"),
    (OwnerKind::Job, "k8s.job.name"),
];

impl fmt::Display for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, namespace, owner, service, version, region, zone } = self;
        let owner = owner.as_ref().and_then(|Owner { kind, name }| {
            OWNERS.iter().find(|(one, _)| one == kind).map(|(_, key)| (*key, name))
        });
        let members = [
            cluster.as_ref().map(|value| ("k8s.cluster.name", value)),
            namespace.as_ref().map(|value| ("k8s.namespace.name", value)),
            owner,
            service.as_ref().map(|value| ("service.name", value)),
            version.as_ref().map(|value| ("service.version", value)),
            region.as_ref().map(|value| ("cloud.region", value)),
            zone.as_ref().map(|value| ("cloud.availability_zone", value)),
        ];
        let mut comma = "";
        for (name, value) in members.into_iter().flatten().filter(|(_, value)| is_name(value)) {
            write!(f, "{comma}{name}={value}")?;
            comma = ",";
        }
        Ok(())
    }
}

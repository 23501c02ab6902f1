//! Sees to gateways: that what they need is there (`build`), and that the status of everything of the
//! Gateway API says what became of it.
use super::{Pace, RETRY, is_final, listed};
use crate::gateways::{
    Gateways, Presence,
    order::{Order, Way},
    status::Told,
};
use build::{Builder, State};
use culvert_kubernetes::{
    client::Client,
    fault::Fault,
    lease::Office,
    trim::Key,
    write::{Place, now},
};
use culvert_runtime::{alarm, backoff::Backoff, dice::dice};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};
use tokio::{sync::watch, time::Instant};
use tracing::{debug, warn};

pub(super) mod build;

/// What the `ClusterRole` needs.
const LACKS: &str = "its ClusterRole needs apiGroups: [gateway.networking.k8s.io], resources: \
    [gatewayclasses/status, gateways/status, httproutes/status, grpcroutes/status, tlsroutes/status, \
    tcproutes/status, backendtlspolicies/status], verbs: [patch], and get of the same without /status";

/// Writes status, and has somebody build.
pub(super) struct Steward {
    client: Client,
    office: Office,
    gateways: watch::Receiver<Arc<Gateways>>,
    /// What is written there, by kind, when it is this replica that writes.
    known: Option<HashMap<(&'static str, Key), Entry>>,
    pace: Pace,
    backoff: Backoff,
    said: Option<Fault>,
}

/// What is known of one object's status.
struct Entry {
    uid: String,
    status: Value,
    /// It cannot be written: not tried again for the same.
    given_up: Option<(Told, Option<Presence>)>,
}

/// Whether it is known how a gateway is there.
enum Known {
    NotYet,
    So(Presence),
}

/// An object in a list, or by itself.
#[derive(Default, Deserialize)]
#[serde(default)]
struct There {
    metadata: Meta,
    status: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    namespace: String,
    name: String,
    uid: String,
    resource_version: String,
}

impl Steward {
    pub(super) fn new(
        client: &Client,
        office: Office,
        gateways: watch::Receiver<Arc<Gateways>>,
    ) -> Self {
        Self {
            client: client.clone(),
            office,
            gateways,
            known: None,
            pace: Pace::default(),
            backoff: Backoff::new(RETRY.0, RETRY.1),
            said: None,
        }
    }

    /// Without a builder nothing is made.
    pub(super) async fn run(mut self, mut builder: Option<Builder>) {
        let mut again = None;
        loop {
            let builds = async {
                match &mut builder {
                    Some(builder) => builder.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.office.changed() => {}
                Ok(()) = self.gateways.changed() => {}
                () = builds => {}
                () = alarm::at(again) => {}
            }
            again = None;
            if !self.office.is_held() {
                self.known = None;
                builder.iter_mut().for_each(Builder::forget);
                continue;
            }
            let gateways = Arc::clone(&self.gateways.borrow_and_update());
            let built = match &mut builder {
                Some(builder) => builder.build(&gateways, &mut self.pace).await,
                None => Ok(()),
            };
            let told = self.tell(&gateways, builder.as_ref()).await;
            match built.and(told) {
                Ok(()) => {
                    self.backoff.reset();
                    self.said = None;
                    again = builder.as_ref().and_then(Builder::again);
                }
                Err(fault) => {
                    again = Some(Instant::now() + self.backoff.next(dice()));
                    self.tell_fault(fault);
                }
            }
        }
    }

    /// Writes whatever is not written as it is to be.
    async fn tell(&mut self, gateways: &Gateways, builder: Option<&Builder>) -> Result<(), Fault> {
        let mut known = match self.known.take() {
            Some(known) => known,
            None => self.read(&gateways.told).await?,
        };
        let told = self.tell_all(gateways, builder, &mut known).await;
        self.known = Some(known);
        told
    }

    async fn tell_all(
        &mut self,
        gateways: &Gateways,
        builder: Option<&Builder>,
        known: &mut HashMap<(&'static str, Key), Entry>,
    ) -> Result<(), Fault> {
        if known.len() > gateways.told.len() {
            let there: HashSet<_> =
                gateways.told.iter().map(|told| (told.kind, &told.key)).collect();
            known.retain(|(kind, key), _| there.contains(&(*kind, key)));
        }
        let presences = presences(gateways, builder);
        for told in &gateways.told {
            let place = (told.kind, told.key.clone());
            let presence = presences.get(&told.key).filter(|_| told.kind == "Gateway");
            let presence = match presence {
                // It is told once that is known.
                Some(Known::NotYet) => continue,
                Some(Known::So(presence)) => Some(presence),
                None => None,
            };
            let entry = known.get(&place).filter(|entry| entry.uid == told.uid);
            let is_settled = entry.is_some_and(|entry| {
                let given_up = entry.given_up.as_ref();
                given_up.is_some_and(|(one, of)| (one, of.as_ref()) == (told, presence))
                    || told.differing(&entry.status, presence, &now()).is_none()
            });
            if is_settled {
                continue;
            }
            self.pace.wait().await;
            let Some(entry) = self.write(told, presence).await? else { return Ok(()) };
            known.insert(place, entry);
        }
        Ok(())
    }

    /// What the status of all objects says now.
    async fn read(&self, told: &[Told]) -> Result<HashMap<(&'static str, Key), Entry>, Fault> {
        let kinds = told.iter().map(|one| (one.kind, one.plural, one.api_version.as_str()));
        let all = listed::<There>(&self.client, kinds).await?;
        let known = all.into_iter().map(|(kind, There { metadata, status })| {
            let key = Key { namespace: metadata.namespace.into(), name: metadata.name.into() };
            ((kind, key), Entry { uid: metadata.uid, status, given_up: None })
        });
        Ok(known.collect())
    }

    /// Writes one, as it is to be beside what others say there now; `None`: it is no longer this
    /// replica that writes.
    async fn write(
        &self,
        told: &Told,
        presence: Option<&Presence>,
    ) -> Result<Option<Entry>, Fault> {
        let Told { plural, api_version, key, uid, .. } = told;
        let place = Place { api_version, plural, namespace: &key.namespace, name: &key.name };
        let given_up = || Some((told.clone(), presence.cloned()));
        let unwritten = |status: Value, given_up| Entry { uid: uid.clone(), status, given_up };
        let Some(there) = self.client.find(&place).await? else {
            return Ok(Some(unwritten(Value::Null, given_up())));
        };
        let There { metadata, status } = serde_json::from_value(there).unwrap_or_default();
        if metadata.uid != *uid {
            // Another of the name: it is heard of soon.
            return Ok(Some(unwritten(Value::Null, given_up())));
        }
        let Some(fields) = told.differing(&status, presence, &now()) else {
            return Ok(Some(unwritten(status, None)));
        };
        let Some(_leave) = self.office.enter().await else { return Ok(None) };
        let version = metadata.resource_version;
        let change = json!({ "metadata": { "resourceVersion": version }, "status": fields });
        match self.client.merge_status(&place, &change).await {
            Ok(answer) => {
                let There { status, .. } = serde_json::from_value(answer).unwrap_or_default();
                // What the API server does not keep is not written again.
                let is_kept = told.differing(&status, presence, &now()).is_none();
                Ok(Some(unwritten(status, if is_kept { None } else { given_up() })))
            }
            // Somebody else wrote meanwhile: what there is then is looked at again.
            Err(fault) if fault.is_conflict() => Err(fault),
            Err(fault) if is_final(&fault) => {
                let Told { kind, .. } = told;
                let (namespace, name) = (&key.namespace, &key.name);
                match fault.is_absent() {
                    true => {
                        debug!(kind, "{namespace}/{name} was gone before its status was written");
                    }
                    false => {
                        warn!(kind, "the status of {namespace}/{name} cannot be written: {fault}");
                    }
                }
                Ok(Some(unwritten(status, given_up())))
            }
            Err(fault) => Err(fault),
        }
    }

    fn tell_fault(&mut self, fault: Fault) {
        if fault.is_conflict() {
            debug!("a status is written again: {fault}");
        } else if self.said.as_ref() != Some(&fault) {
            let missing = if fault.is_forbidden() { format!("; {LACKS}") } else { String::new() };
            warn!("gateways are not seen to: {fault}{missing}");
            self.said = Some(fault);
        }
    }
}

/// How each gateway is there; of those that are left out nobody here knows.
fn presences(gateways: &Gateways, builder: Option<&Builder>) -> BTreeMap<Key, Known> {
    let presence = |order: &Order| {
        let service = order.service().and_then(|service| gateways.services.get(&service));
        Some(match (&order.way, builder) {
            (Way::Said, _) | (Way::Made(_), None) => return None,
            (Way::Named(_), _) => Known::So(Presence::by(service, None)),
            (Way::Made(_), Some(builder)) => match builder.state(&order.key) {
                State::Unknown => Known::NotYet,
                State::Troubled(why) => Known::So(Presence::troubled(why)),
                State::Pods(pods) => Known::So(Presence::by(service, Some(pods))),
            },
        })
    };
    let all = gateways.orders.iter();
    all.filter_map(|order| Some((order.key.clone(), presence(order)?))).collect()
}

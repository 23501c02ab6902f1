//! Makes for each Gateway of our classes what it needs, and keeps it as it is to be.
//!
//! What is there and says that it was made of the same is left alone. What is called so and is
//! somebody else's is never touched.
use super::super::Pace;
use crate::{
    compile::http::gateway_api::status::CONTROLLER,
    gateways::{
        CLASS, GATEWAY_NAME, Gateways,
        made::{self, MANAGED_BY, Made, US},
        order::{MADE_OF, Order, Wanted, Way},
        template::Template,
    },
};
use culvert_identity::{armor, ca::Authority};
use culvert_kubernetes::{
    client::Client,
    fault::Fault,
    kind::Kind,
    lease::Office,
    mirror::{Event, Mirror},
    trim::Key,
    write::{Part, Place},
};
use culvert_runtime::{
    drain::Worker,
    publish::{Generation, View},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tracing::{info, warn};

/// What stands in the way may be gone by itself after this.
const AGAIN: Duration = Duration::from_secs(30);

/// Builds.
pub(in crate::clerk) struct Builder {
    client: Client,
    office: Office,
    template: Template,
    authority: View<Arc<Authority>>,
    seen: Generation,
    mirror: Mirror,
    /// All of them are known.
    is_synced: bool,
    deployments: BTreeMap<Key, Deployment>,
    /// What was built, by gateway.
    built: BTreeMap<Key, Built>,
    /// Somebody said that there is none of our class, and one was made.
    has_class: bool,
}

/// How far a gateway's pods are.
pub(super) enum State<'a> {
    Unknown,
    Troubled(&'a str),
    /// So many are available.
    Pods(u64),
}

/// A Deployment as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Deployment {
    made_of: Option<String>,
    generation: u64,
    available: u64,
}

/// What was there when a gateway was looked after.
struct Built {
    at: Instant,
    /// Of everything that is to be there.
    of: Vec<String>,
    /// What the Deployment said it was made of, and its generation.
    deployment: Option<(String, u64)>,
    /// The same of the Service.
    service: Option<String>,
    /// Why something is not there.
    trouble: Option<String>,
}

/// An object of the API, as far as it matters whose it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct There {
    metadata: Meta,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    generation: u64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    available_replicas: u64,
}

impl Builder {
    pub(in crate::clerk) fn new(
        client: &Client,
        office: Office,
        template: Template,
        authority: View<Arc<Authority>>,
        worker: &Worker,
    ) -> Self {
        let fields = &["metadata.annotations", "metadata.generation", "status.availableReplicas"];
        let kind = Kind::built_in("apps", &["v1"], "Deployment", "deployments", fields);
        let kind = kind.with_annotations(|name| name == MADE_OF);
        let kind = kind.labelled(format!("{MANAGED_BY}={US},{GATEWAY_NAME}"));
        Self {
            client: client.clone(),
            office,
            template,
            seen: authority.pin().generation,
            authority,
            mirror: Mirror::start(client, &[kind], worker),
            is_synced: false,
            deployments: BTreeMap::new(),
            built: BTreeMap::new(),
            has_class: false,
        }
    }

    /// Waits until something may have to be built anew. After the drain it waits forever.
    ///
    /// Cancel safe.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            event = self.mirror.next() => match event {
                Some(event) => self.hear(event),
                None => std::future::pending().await,
            },
            Some(newer) = self.authority.newer_than(self.seen) => self.seen = newer.generation,
        }
    }

    /// When to try again what somebody stands in the way of.
    pub(super) fn again(&self) -> Option<Instant> {
        let troubled = self.built.values().filter(|built| built.trouble.is_some());
        troubled.map(|built| built.at + AGAIN).min()
    }

    /// It is another replica that writes.
    pub(super) fn forget(&mut self) {
        self.built.clear();
        self.has_class = false;
    }

    /// How far what was built for a gateway is.
    pub(super) fn state(&self, gateway: &Key) -> State<'_> {
        let Some(built) = self.built.get(gateway) else { return State::Unknown };
        if let Some(why) = &built.trouble {
            return State::Troubled(why);
        }
        let deployments = self.deployments.iter();
        let own = deployments.filter(|(key, _)| key.namespace == gateway.namespace);
        let mut own = own.filter(|(_, one)| one.made_of == built.deployment_made_of());
        State::Pods(own.next().map_or(0, |(_, one)| one.available))
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Applied { key, json, .. } => {
                let read = json.ok().and_then(|json| serde_json::from_str(&json).ok());
                let There { mut metadata, status } = read.unwrap_or_default();
                let made_of = metadata.annotations.remove(MADE_OF);
                let (generation, available) = (metadata.generation, status.available_replicas);
                self.deployments.insert(key, Deployment { made_of, generation, available });
            }
            Event::Deleted { key, .. } => drop(self.deployments.remove(&key)),
            Event::Synced { .. } => self.is_synced = true,
            Event::Looked { .. } => {}
            Event::Unavailable { why, .. } => {
                let missing = match why.is_forbidden() {
                    true => {
                        "; its ClusterRole needs apiGroups: [apps], resources: [deployments], verbs: \
                         [list, watch]"
                    }
                    false => "",
                };
                warn!("Deployments of gateways cannot be followed: {why}{missing}");
            }
        }
    }

    /// Has everything be there that is not.
    pub(super) async fn build(
        &mut self,
        gateways: &Gateways,
        pace: &mut Pace,
    ) -> Result<(), Fault> {
        if !self.is_synced {
            return Ok(());
        }
        if gateways.lacks_class && !self.has_class {
            self.make_class().await?;
        }
        self.has_class &= gateways.lacks_class;
        let there: BTreeSet<&Key> = gateways.orders.iter().map(|order| &order.key).collect();
        self.built.retain(|gateway, _| there.contains(gateway));
        let roots = armor::write(self.authority.pin().value.roots());
        for order in &gateways.orders {
            let Way::Made(wanted) = &order.way else {
                self.built.remove(&order.key);
                continue;
            };
            let service = order.service().and_then(|service| gateways.services.get(&service));
            let service = service.and_then(|service| service.made_of.as_deref());
            self.see_to(order, wanted, (&roots, service), pace).await?;
        }
        Ok(())
    }

    async fn see_to(
        &mut self,
        order: &Order,
        wanted: &Wanted,
        (roots, service): (&str, Option<&str>),
        pace: &mut Pace,
    ) -> Result<(), Fault> {
        let all = made::all(order, wanted, &self.template, roots);
        let of: Vec<_> = all.iter().map(|made| made.made_of.clone()).collect();
        let name =
            Key { namespace: Arc::clone(&order.key.namespace), name: order.made_name().into() };
        let deployment = self.deployments.get(&name);
        let deployment = deployment.and_then(|one| Some((one.made_of.clone()?, one.generation)));
        let before = self.built.get(&order.key);
        let is_there = before.is_some_and(|built| {
            let same = built.deployment == deployment && built.service.as_deref() == service;
            let is_hopeless = built.trouble.is_some() && built.at.elapsed() < AGAIN;
            built.of == of && (is_hopeless || (same && built.trouble.is_none()))
        });
        if is_there {
            return Ok(());
        }
        let is_edited = before.is_some_and(|built| {
            // Somebody did since.
            let both = built.deployment.as_ref().zip(deployment.as_ref());
            both.is_some_and(|(was, now)| was.0 == now.0 && was.1 != now.1)
        });
        let at = Instant::now();
        let mut built = Built { at, of, deployment: None, service: None, trouble: None };
        for made in &all {
            let is_edited = is_edited && made.kind == "Deployment";
            pace.wait().await;
            let object = match self.make(made, is_edited).await {
                Ok(Some(object)) => object,
                // It is no longer this replica that writes.
                Ok(None) => return Ok(()),
                Err(Failed::Theirs) => {
                    let Made { kind, key, .. } = made;
                    let Key { namespace, name } = key;
                    let why = format!(
                        "{kind} {namespace}/{name} is somebody else's: name the Gateway otherwise, or remove it"
                    );
                    let Key { namespace, name } = &order.key;
                    warn!("nothing is made for Gateway {namespace}/{name}: {why}");
                    built.trouble = Some(why);
                    break;
                }
                Err(Failed::Refused(fault)) => {
                    let why = format!("{} is refused: {fault}", made.kind);
                    warn!("of Gateway {}/{}: {why}", order.key.namespace, order.key.name);
                    built.trouble = Some(why);
                    break;
                }
                Err(Failed::Fault(fault)) => return Err(fault),
            };
            match made.kind {
                "Deployment" => {
                    built.deployment = Some((made.made_of.clone(), object.metadata.generation));
                }
                "Service" => built.service = Some(made.made_of.clone()),
                _ => {}
            }
        }
        self.built.insert(order.key.clone(), built);
        Ok(())
    }

    /// Has one object be so; `None`: this replica does not write any more.
    async fn make(&self, made: &Made, is_edited: bool) -> Result<Option<There>, Failed> {
        let Made { kind, plural, api_version, key, made_of, body } = made;
        let place = Place { api_version, plural, namespace: &key.namespace, name: &key.name };
        let read = |object: Value| serde_json::from_value::<There>(object).unwrap_or_default();
        if let Some(there) = self.client.find(&place).await?.map(read) {
            if there.metadata.labels.get(MANAGED_BY).is_none_or(|by| by != US) {
                return Err(Failed::Theirs);
            }
            if !is_edited && there.metadata.annotations.get(MADE_OF) == Some(made_of) {
                return Ok(Some(there));
            }
        }
        let Some(_leave) = self.office.enter().await else { return Ok(None) };
        let object =
            self.client.apply(&place, Part::Taken, body).await.map_err(|fault| {
                match fault.code() {
                    Some(400 | 404 | 409 | 413 | 422) => Failed::Refused(fault),
                    _ => Failed::Fault(fault),
                }
            })?;
        info!("{kind} {}/{} is as its Gateway wants it", key.namespace, key.name);
        Ok(Some(read(object)))
    }

    /// The class that people name.
    async fn make_class(&mut self) -> Result<(), Fault> {
        let Some(_leave) = self.office.enter().await else { return Ok(()) };
        let (api_version, plural) = ("gateway.networking.k8s.io/v1", "gatewayclasses");
        let place = Place { api_version, plural, namespace: "", name: CLASS };
        let class = json!({
            "apiVersion": api_version,
            "kind": "GatewayClass",
            "metadata": { "name": CLASS, "labels": { MANAGED_BY: US } },
            "spec": {
                "controllerName": CONTROLLER,
                "description": "gateways of the mesh, by Culvert",
            },
        });
        match self.client.create(&place, &class).await {
            Ok(_) => info!("GatewayClass {CLASS} is made"),
            Err(fault) if fault.is_conflict() => {}
            Err(fault) => return Err(fault),
        }
        self.has_class = true;
        Ok(())
    }
}

impl Built {
    fn deployment_made_of(&self) -> Option<String> {
        self.deployment.as_ref().map(|(made_of, _)| made_of.clone())
    }
}

/// Why an object is not as it is to be.
enum Failed {
    /// Somebody else made it.
    Theirs,
    /// It would be refused again.
    Refused(Fault),
    Fault(Fault),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

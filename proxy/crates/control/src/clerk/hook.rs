//! The webhook's configuration: whom the API server is to believe there.
//!
//! The chart makes it without that; the roots are put in, and put back when somebody edits them.
use super::RETRY;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use culvert_identity::{armor, ca::Authority};
use culvert_kubernetes::{
    client::Client,
    fault::Fault,
    kind::Kind,
    lease::Office,
    mirror::{Event, Mirror},
    write::{Part, Place},
};
use culvert_runtime::{
    alarm,
    backoff::Backoff,
    dice::dice,
    drain::Worker,
    publish::{Generation, View},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{info, warn};

/// What the chart calls it.
const NAME: &str = "culvert-control";

const API_VERSION: &str = "admissionregistration.k8s.io/v1";

const KIND: &str = "ValidatingWebhookConfiguration";

const PLURAL: &str = "validatingwebhookconfigurations";

/// Keeps it true.
pub(super) struct Hook {
    client: Client,
    office: Office,
    authority: View<Arc<Authority>>,
    seen: Generation,
    mirror: Mirror,
    /// As it is; `None`: there is none.
    now: Option<Configuration>,
    backoff: Backoff,
    said: Option<Fault>,
}

/// As much of it as matters.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Configuration {
    webhooks: Vec<Webhook>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Webhook {
    name: String,
    client_config: ClientConfig,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClientConfig {
    ca_bundle: String,
}

impl Hook {
    pub(super) fn new(
        client: &Client,
        office: Office,
        authority: View<Arc<Authority>>,
        worker: &Worker,
    ) -> Self {
        let fields = &["webhooks.name", "webhooks.clientConfig.caBundle"];
        let kind = Kind::built_in("admissionregistration.k8s.io", &["v1"], KIND, PLURAL, fields);
        let kind = kind.with_selector(format!("metadata.name={NAME}"));
        Self {
            client: client.clone(),
            office,
            seen: authority.pin().generation,
            authority,
            mirror: Mirror::start(client, &[kind], worker),
            now: None,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            said: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut again = None;
        loop {
            tokio::select! {
                event = self.mirror.next() => match event {
                    Some(event) => self.hear(event),
                    None => return std::future::pending().await,
                },
                Some(newer) = self.authority.newer_than(self.seen) => self.seen = newer.generation,
                _ = self.office.changed() => {}
                () = alarm::at(again) => {}
            }
            again = match self.settle().await {
                Ok(()) => {
                    self.backoff.reset();
                    self.said = None;
                    None
                }
                Err(fault) => {
                    let wait = self.backoff.next(dice());
                    self.tell(fault);
                    Some(Instant::now() + wait)
                }
            };
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Applied { json, .. } => {
                let json = json.unwrap_or_else(|_| "{}".into());
                self.now = Some(serde_json::from_str(&json).unwrap_or_default());
            }
            Event::Deleted { .. } => self.now = None,
            Event::Synced { .. } | Event::Looked { .. } => {}
            Event::Unavailable { why, .. } => self.tell(why),
        }
    }

    /// Has it say what is true, when it does not.
    async fn settle(&mut self) -> Result<(), Fault> {
        let Some(now) = &self.now else { return Ok(()) };
        let roots = BASE64.encode(armor::write(self.authority.pin().value.roots()));
        let Some(fields) = now.differing(&roots) else { return Ok(()) };
        let Some(_leave) = self.office.enter().await else { return Ok(()) };
        let place = Place { api_version: API_VERSION, plural: PLURAL, namespace: "", name: NAME };
        let answer = self.client.apply(&place, Part::Taken, &fields).await?;
        info!("the webhook's configuration names the roots by which this control plane is known");
        self.now = Some(serde_json::from_value(answer).unwrap_or_default());
        Ok(())
    }

    fn tell(&mut self, fault: Fault) {
        if self.said.as_ref() != Some(&fault) {
            let missing = match fault.is_forbidden() {
                true => format!(
                    "; its ClusterRole needs apiGroups: [admissionregistration.k8s.io], \
                     resources: [{PLURAL}], resourceNames: [{NAME}], verbs: [list, watch, patch]"
                ),
                false => String::new(),
            };
            warn!("the webhook's configuration is not kept true: {fault}{missing}");
            self.said = Some(fault);
        }
    }
}

impl Configuration {
    /// What is to be applied so that each webhook is believed by `roots`; `None`: nothing.
    fn differing(&self, roots: &str) -> Option<Value> {
        if self.webhooks.iter().all(|webhook| webhook.client_config.ca_bundle == roots) {
            return None;
        }
        // All of them: what is applied once and then no more, is taken away.
        let webhooks: Vec<_> = self
            .webhooks
            .iter()
            .map(|webhook| json!({ "name": webhook.name, "clientConfig": { "caBundle": roots } }))
            .collect();
        Some(json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": { "name": NAME },
            "webhooks": webhooks,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_true_is_left_alone() {
        let read = |bundle: &str| -> Configuration {
            let webhook = json!({"name": "a", "clientConfig": {"caBundle": bundle}});
            serde_json::from_value(json!({ "webhooks": [webhook] })).unwrap()
        };
        assert_eq!(read("eA==").differing("eA=="), None);
        let fields = read("").differing("eA==").unwrap();
        assert_eq!(fields["webhooks"][0]["clientConfig"]["caBundle"], "eA==");
        assert_eq!(Configuration::default().differing("eA=="), None);
    }
}

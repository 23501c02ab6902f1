//! A Secret or a `ConfigMap` by its name: what is in it, followed and written.
use crate::{
    client::{APPLY, Client, JSON, MANAGER},
    fault::Fault,
    kind::Kind,
    mirror::{Event, Mirror},
    path,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use culvert_runtime::drain::Worker;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, str};

/// What is in one of them, by keys.
pub type Contents = BTreeMap<String, Vec<u8>>;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Secret,
    ConfigMap,
}

/// One of them, be it there or not; cheap to clone.
#[derive(Clone, Debug)]
pub struct Named {
    client: Client,
    what: What,
    namespace: String,
    name: String,
}

/// Hears of one.
#[derive(Debug)]
pub struct Following {
    named: Named,
    mirror: Mirror,
    is_there: bool,
}

/// What is heard of it. No content is shown by `Debug`.
pub enum Change {
    /// It is there, as it is now; or why that cannot be read.
    Is(Result<Contents, String>),
    /// It is not there.
    Absent,
    /// It is followed again, and is as it was.
    Same,
    /// It cannot be followed for now.
    Unavailable(String),
}

#[derive(Deserialize)]
struct Held {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

impl What {
    fn kind(self) -> Kind {
        let (kind, plural) = match self {
            Self::Secret => ("Secret", "secrets"),
            Self::ConfigMap => ("ConfigMap", "configmaps"),
        };
        Kind::built_in("", &["v1"], kind, plural, &["data"]).with_annotations(|_| false)
    }

    fn read(self, json: &str) -> Result<Contents, String> {
        let held: Held = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let read = |(key, value): (String, String)| {
            let bytes = match self {
                Self::Secret => BASE64.decode(value).map_err(|error| format!("{key}: {error}"))?,
                Self::ConfigMap => value.into_bytes(),
            };
            Ok((key, bytes))
        };
        held.data.unwrap_or_default().into_iter().map(read).collect()
    }

    fn write(self, contents: &Contents) -> Value {
        let write = |(key, bytes): (&String, &Vec<u8>)| {
            let text = match self {
                Self::Secret => BASE64.encode(bytes),
                Self::ConfigMap => String::from_utf8_lossy(bytes).into_owned(),
            };
            (key.clone(), Value::String(text))
        };
        Value::Object(contents.iter().map(write).collect())
    }
}

impl Named {
    pub fn new(client: &Client, what: What, namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { client: client.clone(), what, namespace, name }
    }

    /// Hears of it from now on, until the worker finishes.
    pub fn follow(&self, worker: &Worker) -> Following {
        let kind = self.kind().with_selector(format!("metadata.name={}", self.name));
        let mirror = Mirror::start(&self.client, &[kind], worker);
        Following { named: self.clone(), mirror, is_there: false }
    }

    /// Makes it, unless somebody else has: `false`.
    ///
    /// # Errors
    ///
    /// When the API server does not do it.
    pub async fn create(&self, contents: &Contents) -> Result<bool, Fault> {
        let path = self.kind().path(0);
        match self.client.send((Method::POST, &path), JSON, self.body(contents)).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.is_conflict() => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Has these keys be so, whoever wrote them before; others stay.
    ///
    /// # Errors
    ///
    /// When the API server does not do it.
    pub async fn apply(&self, contents: &Contents) -> Result<(), Fault> {
        let path = path::one(&self.kind().path(0), &self.name);
        let path = format!("{path}?fieldManager={MANAGER}&force=true");
        self.client.send((Method::PATCH, &path), APPLY, self.body(contents)).await.map(drop)
    }

    /// What is missing where somebody may not do something with it, if that is so.
    pub fn in_words(&self, fault: &Fault) -> String {
        let Kind { plural, .. } = self.kind();
        let verbs = match self.what {
            What::Secret => "list, watch",
            What::ConfigMap => "list, watch, patch",
        };
        match fault.is_forbidden() {
            true => format!(
                "{fault}; in {} its Role needs resources: [{plural}], resourceNames: [{}], \
                 verbs: [{verbs}], and create without a name",
                self.namespace, self.name
            ),
            false => fault.to_string(),
        }
    }

    fn kind(&self) -> Kind {
        self.what.kind().within(self.namespace.clone())
    }

    fn body(&self, contents: &Contents) -> Vec<u8> {
        let Self { what, namespace, name, .. } = self;
        let labels = json!({ "app.kubernetes.io/part-of": "culvert" });
        let object = json!({
            "apiVersion": "v1",
            "kind": what.kind().kind,
            "metadata": { "name": name, "namespace": namespace, "labels": labels },
            "data": what.write(contents),
        });
        object.to_string().into_bytes()
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, namespace, name, .. } = self;
        write!(f, "the {what:?} {namespace}/{name}")
    }
}

impl Following {
    /// The next change, the first being how it is; `None` once the worker has finished.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        Some(match self.mirror.next().await? {
            Event::Applied { json, .. } => {
                self.is_there = true;
                let read = json.map_err(|why| why.to_string());
                Change::Is(read.and_then(|json| self.named.what.read(&json)))
            }
            Event::Deleted { .. } => {
                self.is_there = false;
                Change::Absent
            }
            Event::Synced { .. } | Event::Looked { .. } if self.is_there => Change::Same,
            Event::Synced { .. } | Event::Looked { .. } => Change::Absent,
            Event::Unavailable { why, .. } => Change::Unavailable(self.named.in_words(&why)),
        })
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(Ok(contents)) => f.debug_set().entries(contents.keys()).finish(),
            Self::Is(Err(why)) => write!(f, "Unreadable({why})"),
            Self::Absent => f.write_str("Absent"),
            Self::Same => f.write_str("Same"),
            Self::Unavailable(why) => write!(f, "Unavailable({why})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            contents in prop::collection::btree_map("[a-z.-]{1,9}", any::<Vec<u8>>(), 0..4),
        ) {
            let json = json!({ "data": What::Secret.write(&contents) }).to_string();
            prop_assert_eq!(What::Secret.read(&json).unwrap(), contents);
        }
    }

    #[test]
    fn one_without_data_is_empty_and_one_that_is_none_is_named() {
        assert!(What::Secret.read("{}").unwrap().is_empty());
        assert!(What::ConfigMap.read(r#"{"data":null}"#).unwrap().is_empty());
        let error = What::Secret.read(r#"{"data":{"ca-key.pem":"?"}}"#).unwrap_err();
        assert!(error.starts_with("ca-key.pem: "), "{error}");
        assert!(What::ConfigMap.read("1").is_err());
    }

    #[test]
    fn nothing_that_is_secret_is_shown() {
        let change = Change::Is(Ok([("key".to_owned(), b"hidden".to_vec())].into()));
        assert_eq!(format!("{change:?}"), r#"{"key"}"#);
    }
}

//! Single objects: read, made, changed.
//!
//! Nothing here tries again: whoever writes knows best whether it still wants to.
use crate::{
    client::{APPLY, Client, JSON, MANAGER, MERGE, read},
    fault::Fault,
    path,
};
use http::Method;
use k8s_openapi::jiff::{Timestamp, fmt::strtime};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tokio::time;

/// How long one request may take. Shorter than what is left of a lease when its holder stops to
/// write: what was begun with it is over with it.
pub const WITHIN: Duration = Duration::from_secs(4);

/// One object, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// `security.istio.io/v1`, or `v1`.
    pub api_version: &'a str,
    pub plural: &'a str,
    /// Empty: the kind has none.
    pub namespace: &'a str,
    pub name: &'a str,
}

/// How much of an object an apply is for, and what when somebody else keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Fields of the object; they become ours.
    Taken,
    /// Of its status; what somebody else keeps stays, and that is a fault (409).
    Status,
}

impl Place<'_> {
    /// Of all its like.
    pub fn list_path(&self) -> String {
        let Self { api_version, plural, namespace, .. } = *self;
        path::all(api_version, (!namespace.is_empty()).then_some(namespace), plural)
    }

    pub fn path(&self) -> String {
        path::one(&self.list_path(), self.name)
    }
}

impl Client {
    /// The object, or a page of a list, at a path.
    ///
    /// # Errors
    ///
    /// When it is not there, or may not be read.
    pub async fn read(&self, path: &str) -> Result<Value, Fault> {
        read(&self.get(path, JSON).await?)
    }

    /// The object of a place; `None`: there is none.
    ///
    /// # Errors
    ///
    /// When it may not be read, or the API server does not say.
    pub async fn find(&self, place: &Place<'_>) -> Result<Option<Value>, Fault> {
        match self.read(&place.path()).await {
            Ok(object) => Ok(Some(object)),
            Err(fault) if fault.is_absent() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// All objects like the one of a place, whatever its name; of each what `T` reads.
    ///
    /// # Errors
    ///
    /// When they may not be read, or one of them makes no sense.
    pub async fn list<T: DeserializeOwned>(&self, place: &Place<'_>) -> Result<Vec<T>, Fault> {
        self.parts(&place.list_path(), None).await
    }

    /// Makes an object; the answer is how it came to be.
    ///
    /// # Errors
    ///
    /// 409 when it is there.
    pub async fn create(&self, place: &Place<'_>, object: &Value) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager={MANAGER}", place.list_path());
        self.write((Method::POST, &path), JSON, object).await
    }

    /// Puts an object in the place of the version that it says it was.
    ///
    /// # Errors
    ///
    /// 409 when that is another one by now.
    pub async fn replace(&self, place: &Place<'_>, object: &Value) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager={MANAGER}", place.path());
        self.write((Method::PUT, &path), JSON, object).await
    }

    /// Says what some fields are to be, and that they are ours.
    ///
    /// # Errors
    ///
    /// 409 when somebody else keeps one of them and they are not to be taken, or when it is
    /// another object than the `uid` in it says.
    pub async fn apply(
        &self,
        place: &Place<'_>,
        part: Part,
        fields: &Value,
    ) -> Result<Value, Fault> {
        let (below, force) = match part {
            Part::Taken => ("", true),
            Part::Status => ("/status", false),
        };
        let path = format!("{}{below}?fieldManager={MANAGER}&force={force}", place.path());
        self.write((Method::PATCH, &path), APPLY, fields).await
    }

    /// Changes some fields, whoever keeps them.
    ///
    /// # Errors
    ///
    /// When it is not there, or may not be changed.
    pub async fn merge(&self, place: &Place<'_>, fields: &Value) -> Result<Value, Fault> {
        let path = format!("{}?fieldManager={MANAGER}", place.path());
        self.write((Method::PATCH, &path), MERGE, fields).await
    }

    /// Changes some fields of its status, whoever keeps them.
    ///
    /// # Errors
    ///
    /// 409 when it is another version by now than `fields` say.
    pub async fn merge_status(&self, place: &Place<'_>, fields: &Value) -> Result<Value, Fault> {
        let path = format!("{}/status?fieldManager={MANAGER}", place.path());
        self.write((Method::PATCH, &path), MERGE, fields).await
    }

    async fn write(
        &self,
        what: (Method, &str),
        content_type: &str,
        object: &Value,
    ) -> Result<Value, Fault> {
        let answer = self.send(what, content_type, object.to_string().into_bytes());
        let late = || Fault::Unreachable(format!("no answer within {} s", WITHIN.as_secs()));
        let answer = time::timeout(WITHIN, answer).await.unwrap_or_else(|_| Err(late()));
        read(&answer?)
    }
}

/// The time of day as conditions say it: to the second.
pub fn now() -> String {
    written("%Y-%m-%dT%H:%M:%SZ")
}

/// And as leases and events do: to the microsecond.
pub(crate) fn now_in_micros() -> String {
    written("%Y-%m-%dT%H:%M:%S%.6fZ")
}

fn written(format: &str) -> String {
    let now = Timestamp::now();
    // The year is one of four digits for some time to come.
    strtime::format(format, now).unwrap_or_else(|_| now.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let policy = Place {
            api_version: "security.istio.io/v1",
            plural: "authorizationpolicies",
            namespace: "shop",
            name: "web",
        };
        let expected = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies/web";
        assert_eq!(policy.path(), expected);
        let node = Place { api_version: "v1", plural: "nodes", namespace: "", name: "a b/../c" };
        assert_eq!(node.path(), "/api/v1/nodes/a%20b%2F..%2Fc");
        assert_eq!(node.list_path(), "/api/v1/nodes");
    }

    #[test]
    fn times_are_written_as_kubernetes_does() {
        let (coarse, fine) = (now(), now_in_micros());
        assert_eq!((coarse.len(), fine.len()), ("2026-01-01T00:00:00Z".len(), 27));
        assert!(coarse.ends_with('Z') && fine.ends_with('Z'), "{coarse} {fine}");
    }
}

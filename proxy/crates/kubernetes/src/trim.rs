//! Objects without what nobody reads.
//!
//! What is dropped is skipped while it is parsed and never takes memory, however deep it is.
use crate::kind::Kind;
use serde::{
    Deserialize as _,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};
use std::{
    collections::BTreeMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

/// Always read, and kept only where a kind asks for it.
const VERSION: &str = "metadata.resourceVersion";

/// What is kept of objects of one kind.
#[derive(Debug)]
pub struct Trim {
    fields: Fields,
    /// Objects then differ whenever anything of them does.
    keeps_version: bool,
    kind: &'static str,
    hasher: RandomState,
}

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty: the kind has none.
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// An object without what nobody reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    pub key: Key,
    pub resource_version: String,
    /// One line of JSON, with `apiVersion` and `kind`; else why it cannot be read.
    pub json: Result<Arc<str>, Arc<str>>,
    /// Differs where what is kept differs.
    pub(crate) hash: u64,
}

/// Which fields are kept.
#[derive(Debug, Default)]
struct Fields {
    /// With all that is in them.
    whole: bool,
    within: BTreeMap<&'static str, Self>,
    /// These are annotations.
    choose: Option<fn(&str) -> bool>,
}

impl Trim {
    #[must_use]
    pub fn new(kind: &Kind) -> Self {
        let mut fields = Fields::default();
        let own = ["metadata.name", "metadata.namespace", VERSION];
        for path in own.iter().chain(kind.fields) {
            let at =
                path.split('.').fold(&mut fields, |at, part| at.within.entry(part).or_default());
            at.whole = true;
            if *path == "metadata.annotations" {
                at.choose = Some(kind.annotations);
            }
        }
        let keeps_version = kind.fields.contains(&VERSION);
        Self { fields, keeps_version, kind: kind.kind, hasher: RandomState::new() }
    }

    /// Reads an object of `api_version`.
    ///
    /// # Errors
    ///
    /// When it has no name. One that has, and that cannot be read otherwise, says so itself.
    pub fn object(&self, api_version: &str, raw: &RawValue) -> Result<Trimmed, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        match Seed(&self.fields).deserialize(&mut deserializer) {
            Ok(Value::Object(object)) => self.named(api_version, object),
            Ok(_) => Err(serde_json::Error::custom("want an object")),
            Err(error) => self.unreadable(raw, &error),
        }
    }

    fn named(
        &self,
        api_version: &str,
        mut object: Map<String, Value>,
    ) -> Result<Trimmed, serde_json::Error> {
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.ok_or_else(|| serde_json::Error::custom("no metadata"))?;
        let (key, resource_version) = identify(metadata, self.keeps_version)?;
        object.insert("apiVersion".to_owned(), api_version.into());
        object.insert("kind".to_owned(), self.kind.into());
        let json: Arc<str> = Value::Object(object).to_string().into();
        let hash = self.hasher.hash_one(&json);
        Ok(Trimmed { key, resource_version, json: Ok(json), hash })
    }

    /// Its name is read alone: one object must not hold up the others.
    fn unreadable(
        &self,
        raw: &RawValue,
        error: &serde_json::Error,
    ) -> Result<Trimmed, serde_json::Error> {
        let names = Self::new(&Kind::built_in("", &[], self.kind, "", &[])).fields;
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let Value::Object(mut object) = Seed(&names).deserialize(&mut deserializer)? else {
            return Err(serde_json::Error::custom("want an object"));
        };
        let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.ok_or_else(|| serde_json::Error::custom("no metadata"))?;
        let (key, resource_version) = identify(metadata, false)?;
        let why: Arc<str> = error.to_string().into();
        let hash = self.hasher.hash_one(&why);
        Ok(Trimmed { key, resource_version, json: Err(why), hash })
    }
}

fn identify(
    metadata: &mut Map<String, Value>,
    keeps_version: bool,
) -> Result<(Key, String), serde_json::Error> {
    let text = |metadata: &Map<String, Value>, field: &str| {
        metadata.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
    let version = text(metadata, "resourceVersion");
    if name.is_empty() {
        return Err(serde_json::Error::custom("an object without a name"));
    }
    if !keeps_version {
        metadata.remove("resourceVersion");
    }
    Ok((Key { namespace: namespace.into(), name: name.into() }, version))
}

/// Reads a value, and of it only some fields.
struct Seed<'a>(&'a Fields);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.0.whole && self.0.choose.is_none() {
            return Value::deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(choose) = self.0.choose {
                if choose(&key) {
                    kept.insert(key, map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
                continue;
            }
            match self.0.within.get(&*key) {
                Some(fields) => drop(kept.insert(key, map.next_value_seed(Seed(fields))?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Seed(self.0))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

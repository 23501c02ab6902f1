//! An entry of ours at the end of somebody else's list of plugins. Pure.
//!
//! Nothing but the entry is touched, blanks included: taken out again, the text is what it was.
//! The runtime takes the first file of the folder, by name, so that is the one that must have it. A
//! single plugin is no list and stays as it is: a list that has it, and then ours, is put beside it
//! under a name that comes before.
use crate::{NAME, conf};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::PathBuf,
};

/// What the plugin needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is: several may run on one machine.
    pub instance: String,
    pub socket: PathBuf,
    pub enrolled: PathBuf,
}

/// What is to become of the files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The file that the runtime takes, if there is one.
    pub chained: Option<String>,
    /// New texts by name; `None`: to be removed.
    pub changes: BTreeMap<String, Option<String>>,
    /// Files that no runtime understands, or that have no place for us.
    pub faults: BTreeMap<String, Fault>,
}

/// Why an entry cannot be in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is no CNI configuration: {0}")]
    NotJson(String),
    #[error("it is a list without plugins")]
    Empty,
    #[error("it has no `type`, so no runtime takes it")]
    NoType,
    #[error(
        "it is of CNI version {0:?}, which has no lists of plugins; set `cniVersion` to 0.3.1 or later"
    )]
    Version(String),
}

/// A list of plugins, and where each stands in the text.
struct List {
    plugins: Vec<Plugin>,
}

struct Plugin {
    at: Range<usize>,
    head: Head,
}

/// What is looked at of a plugin's entry.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    socket: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enrolled: Option<PathBuf>,
    /// The file with the single plugin that our list has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawList<'a> {
    #[serde(default)]
    cni_version: String,
    #[serde(default)]
    cni_versions: Vec<String>,
    #[serde(borrow, default)]
    plugins: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSingle {
    #[serde(default)]
    cni_version: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
}

/// Plans what `files` of a folder, by name, are to become: with `entry` in the one that the runtime
/// takes, and in no other. `None`: in none.
#[must_use]
pub fn plan(files: &BTreeMap<String, String>, instance: &str, entry: Option<&Entry>) -> Plan {
    let mut plan = Plan::default();
    let mut beside = BTreeSet::new();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".conflist")) {
        if List::read(text).is_ok_and(|list| list.is_ours(instance)) {
            beside.insert(name.as_str());
        }
    }
    let others = || files.iter().filter(|(name, _)| !beside.contains(name.as_str()));
    if let Some(entry) = entry {
        for (name, text) in others() {
            match chained(name, text, entry) {
                Ok((place, wanted)) => {
                    if files.get(&place) != Some(&wanted) {
                        plan.changes.insert(place.clone(), Some(wanted));
                    }
                    plan.chained = Some(place);
                    break;
                }
                Err(fault) => drop(plan.faults.insert(name.clone(), fault)),
            }
        }
    }
    let elsewhere = |name: &str| plan.chained.as_deref() != Some(name);
    let stale = beside.iter().filter(|name| elsewhere(name));
    let stale: Vec<_> = stale.map(|name| ((*name).to_owned(), None)).collect();
    let without: Vec<_> = others()
        .filter(|(name, _)| name.ends_with(".conflist") && elsewhere(name))
        .filter_map(|(name, text)| Some((name.clone(), Some(without(text, instance)?))))
        .collect();
    plan.changes.extend(stale.into_iter().chain(without));
    plan
}

/// The file that a runtime takes, the first by name that it understands, and which plugins are in
/// it.
#[must_use]
pub fn taken(files: &BTreeMap<String, String>) -> Option<(&str, Vec<String>)> {
    files.iter().find_map(|(name, text)| {
        let kinds: Vec<_> = match name.strip_suffix(".conflist") {
            Some(_) => List::read(text).ok()?.plugins.into_iter().map(|it| it.head.kind).collect(),
            None => vec![parse::<RawSingle>(text).ok()?.kind],
        };
        let is_understood = !kinds.is_empty() && kinds.iter().all(|kind| !kind.is_empty());
        is_understood.then_some((name.as_str(), kinds))
    })
}

/// Whether a runtime looks at a file of this name.
#[must_use]
pub fn is_conf(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|ending| name.ends_with(ending))
}

/// Whether the plugin is in this text, whoever's it is.
#[must_use]
pub fn has_plugin(text: &str) -> bool {
    List::read(text).is_ok_and(|list| list.plugins.iter().any(|plugin| plugin.head.kind == NAME))
}

/// The file that is to have the entry, and its text with it.
fn chained(name: &str, text: &str, entry: &Entry) -> Result<(String, String), Fault> {
    match name.strip_suffix(".conflist") {
        Some(_) => Ok((name.to_owned(), with(text, entry)?)),
        None => Ok((beside(name, &entry.instance), list_of(name, text, entry)?)),
    }
}

/// The list with the entry as it is to be: where it is, if it is there, else at the end.
fn with(text: &str, entry: &Entry) -> Result<String, Fault> {
    let list = List::read(text)?;
    let head = head(entry, None);
    let ours = list.plugins.iter().rfind(|plugin| plugin.is_of(&entry.instance));
    match (ours, list.plugins.last()) {
        (Some(ours), _) if ours.head == head => Ok(text.to_owned()),
        (Some(ours), _) => Ok(spliced(text, ours.at.clone(), &json(&head))),
        (None, Some(last)) => {
            let before = text.get(..last.at.start).unwrap_or_default();
            let blanks = before.get(before.trim_end().len()..).unwrap_or_default();
            let end = last.at.end..last.at.end;
            Ok(spliced(text, end, &format!(",{blanks}{}", json(&head))))
        }
        (None, None) => Err(Fault::Empty),
    }
}

/// The list without any entry of the instance; `None` when it has none.
fn without(text: &str, instance: &str) -> Option<String> {
    let mut text = text.to_owned();
    let mut changed = None;
    // From the end, so that places before stay true.
    while let Ok(List { plugins }) = List::read(&text) {
        let Some(at) = plugins.iter().rposition(|plugin| plugin.is_of(instance)) else { break };
        let own = plugins.get(at)?.at.clone();
        let before = at.checked_sub(1).and_then(|before| plugins.get(before));
        let cut = match (before, plugins.get(at + 1)) {
            (Some(before), _) => before.at.end..own.end,
            (None, Some(after)) => own.start..after.at.start,
            (None, None) => own,
        };
        text = spliced(&text, cut, "");
        changed = Some(());
    }
    changed.map(|()| text)
}

/// A list of a single plugin and ours.
fn list_of(name: &str, text: &str, entry: &Entry) -> Result<String, Fault> {
    let single: RawSingle = parse(text)?;
    if single.kind.is_empty() {
        return Err(Fault::NoType);
    }
    let version = conf::spoken(&single.cni_version);
    let version = version.map_err(|_failure| Fault::Version(single.cni_version.clone()))?;
    let network = serde_json::Value::from(single.name).to_string();
    let (plugin, own) = (text.trim(), json(&head(entry, Some(name))));
    Ok(format!(
        "{{\"cniVersion\":\"{version}\",\"name\":{network},\"plugins\":[\n{plugin},\n{own}\n]}}\n"
    ))
}

/// A name that comes before `name`: `-` is before `.`.
fn beside(name: &str, instance: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{stem}-culvert-{instance}.conflist")
}

fn head(entry: &Entry, from: Option<&str>) -> Head {
    let Entry { instance, socket, enrolled } = entry.clone();
    Head {
        kind: NAME.to_owned(),
        instance: Some(instance),
        socket: Some(socket),
        enrolled: Some(enrolled),
        from: from.map(str::to_owned),
    }
}

fn json(head: &Head) -> String {
    // Fails for paths that are no text, which no setting can name.
    serde_json::to_string(head).unwrap_or_default()
}

fn spliced(text: &str, at: Range<usize>, by: &str) -> String {
    let (before, after) = (text.get(..at.start), text.get(at.end..));
    [before.unwrap_or_default(), by, after.unwrap_or_default()].concat()
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::NotJson(error.to_string()))
}

impl List {
    fn read(text: &str) -> Result<Self, Fault> {
        let RawList { cni_version, cni_versions, plugins } = parse(text)?;
        if plugins.is_empty() {
            return Err(Fault::Empty);
        }
        let is_spoken = |version: &String| conf::spoken(version).is_ok();
        if !is_spoken(&cni_version) && !cni_versions.iter().any(is_spoken) {
            return Err(Fault::Version(cni_version));
        }
        let plugins = plugins.into_iter().map(|plugin| {
            // What is borrowed lies within the text.
            let start = plugin.get().as_ptr().addr() - text.as_ptr().addr();
            let head: Head = parse(plugin.get())?;
            if head.kind.is_empty() {
                return Err(Fault::NoType);
            }
            Ok(Plugin { at: start..start + plugin.get().len(), head })
        });
        Ok(Self { plugins: plugins.collect::<Result<_, _>>()? })
    }

    /// Whether the whole list is one that we put beside a single plugin.
    fn is_ours(&self, instance: &str) -> bool {
        self.plugins.iter().any(|plugin| plugin.is_of(instance) && plugin.head.from.is_some())
    }
}

impl Plugin {
    fn is_of(&self, instance: &str) -> bool {
        self.head.kind == NAME && self.head.instance.as_deref() == Some(instance)
    }
}

#[cfg(test)]
mod tests;

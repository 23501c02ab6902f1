//! What a runtime writes to the plugin's standard input: its entry in the list of plugins, with
//! what those before it did. Pure.
use crate::failure::{Code, Failure};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::BTreeSet, path::PathBuf};

/// The versions of the specification that are spoken; the last one is said where none is asked for.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The longest configuration: a list of all attachments of a node is in it, and what a chain of
/// plugins made.
pub const LONGEST: u64 = 16 << 20;

/// The plugin's entry, as it is called with it.
#[derive(Clone, Debug)]
pub struct Conf {
    pub cni_version: &'static str,
    /// Where the node listens.
    pub socket: PathBuf,
    /// The file that decides without it.
    pub enrolled: PathBuf,
    /// What the plugins before this one made, as they wrote it.
    pub prev_result: Option<Box<RawValue>>,
    /// `GC`: all that there is.
    pub attachments: Option<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    cni_version: String,
    socket: Option<PathBuf>,
    enrolled: Option<PathBuf>,
    prev_result: Option<Box<RawValue>>,
    #[serde(rename = "cni.dev/valid-attachments")]
    attachments: Option<Vec<Attachment>>,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(rename = "containerID")]
    container: String,
}

impl Conf {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// When it is no JSON of that shape, is of a version that is not spoken, or says too little.
    pub fn read(text: &[u8]) -> Result<Self, Failure> {
        let raw = raw(text)?;
        let cni_version = spoken(&raw.cni_version)?;
        let (Some(socket), Some(enrolled)) = (raw.socket, raw.enrolled) else {
            return Err(Failure::new(
                Code::InvalidConfig,
                "its entry in the CNI configuration lacks `socket` or `enrolled`",
                "`culvert node --cni-conf-dir DIR` writes it",
            ));
        };
        if !socket.is_absolute() || !enrolled.is_absolute() {
            return Err(Failure::new(
                Code::InvalidConfig,
                "`socket` and `enrolled` of its entry in the CNI configuration must be absolute paths",
                "",
            ));
        }
        let attachments = raw.attachments.map(|all| all.into_iter().map(|one| one.container));
        Ok(Self {
            cni_version,
            socket,
            enrolled,
            prev_result: raw.prev_result,
            attachments: attachments.map(Iterator::collect),
        })
    }
}

/// The version in which to answer `text`, also one that cannot be read: then the newest.
#[must_use]
pub fn version_of(text: &[u8]) -> &'static str {
    let newest = VERSIONS.last().copied().unwrap_or_default();
    raw(text).ok().and_then(|raw| spoken(&raw.cni_version).ok()).unwrap_or(newest)
}

/// `version` if it is spoken.
///
/// # Errors
///
/// When it is not.
pub fn spoken(version: &str) -> Result<&'static str, Failure> {
    VERSIONS.iter().copied().find(|known| *known == version).ok_or_else(|| {
        let version = if version.is_empty() { "none" } else { version };
        let shown: String = version.chars().take(40).collect();
        Failure::new(
            Code::IncompatibleVersion,
            format_args!("CNI version {shown} is not spoken"),
            format!("set `cniVersion` of the CNI configuration to one of {}", VERSIONS.join(", ")),
        )
    })
}

/// The first two numbers of a version that is spoken.
#[must_use]
pub fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

fn raw(text: &[u8]) -> Result<Raw, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        let what = "the configuration on standard input is not understood";
        Failure::new(Code::Decoding, what, error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USUAL: &str = r#"{"cniVersion":"1.0.0","name":"net","type":"culvert-cni",
        "socket":"/run/culvert/node/cni.sock","enrolled":"/etc/cni/net.d/culvert-node.enrolled",
        "prevResult": {"ips": [ ],  "cniVersion":"1.0.0"}}"#;

    #[test]
    fn an_entry_is_read_with_what_others_made_untouched() {
        let conf = Conf::read(USUAL.as_bytes()).unwrap();
        assert_eq!(conf.cni_version, "1.0.0");
        let made = conf.prev_result.unwrap();
        assert_eq!(made.get(), r#"{"ips": [ ],  "cniVersion":"1.0.0"}"#);
    }

    #[test]
    fn attachments_are_read_where_they_are_said() {
        let text = USUAL.replacen(
            '{',
            r#"{"cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"},{"containerID":"b","ifname":"eth0"}],"#,
            1,
        );
        let conf = Conf::read(text.as_bytes()).unwrap();
        assert_eq!(conf.attachments, Some(["a".to_owned(), "b".to_owned()].into()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_code() {
        let code = |text: &str| Conf::read(text.as_bytes()).unwrap_err().code;
        assert_eq!(code("nonsense"), Code::Decoding);
        assert_eq!(
            code(&USUAL.replace(r#""1.0.0","name""#, r#""0.2.0","name""#)),
            Code::IncompatibleVersion
        );
        assert_eq!(code(r#"{"cniVersion":"1.0.0"}"#), Code::InvalidConfig);
        assert_eq!(code(&USUAL.replace("/run/culvert", "run/culvert")), Code::InvalidConfig);
        assert_eq!(version_of(b"nonsense"), "1.1.0");
        assert_eq!(version_of(USUAL.as_bytes()), "1.0.0");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in any::<Vec<u8>>()) {
            drop(Conf::read(&text));
        }
    }
}

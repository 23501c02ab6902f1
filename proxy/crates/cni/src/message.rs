//! What the plugin and the node say to each other: one JSON document per line, one question and
//! one answer per connection.
//!
//! The two may be of different releases: a field may be added, none may change its meaning, and
//! what is not known is ignored. A question that is not known is refused in words.
use crate::call::{PodRef, is_container};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read},
    net::IpAddr,
    path::PathBuf,
};

/// The version of what is said here.
pub const VERSION: u32 = 1;

/// The longest line: only the list of a collection is longer than some hundred bytes.
pub const LONGEST: u64 = 1 << 20;

/// The socket's name in the run folder of a node.
pub const SOCKET: &str = "cni.sock";

/// The plugin's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub version: u32,
    #[serde(flatten)]
    pub ask: Ask,
}

/// What it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Have the connections of this pod captured, if it is in the mesh; answered when they are.
    Add(Handed),
    /// Are they?
    Check(Handed),
    /// It is gone.
    Del {
        container: String,
    },
    /// All others are.
    Gc {
        containers: BTreeSet<String>,
    },
    Status,
    /// One that this release does not know.
    #[serde(other)]
    Unknown,
}

/// A pod that was just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    pub container: String,
    /// As the runtime sees it, in the node's own mount namespace.
    pub netns: PathBuf,
    #[serde(default)]
    pub interface: String,
    pub pod: PodRef,
    /// As the plugins before gave them; empty where they do not say.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// The node's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The pod is in the mesh, and no connection of it goes past the proxy.
    Captured,
    /// It is not in the mesh.
    Outside,
    /// Noted.
    Done,
    /// Not now, or never; why, and what to do.
    Refused { reason: String, next: String },
}

impl Handed {
    /// Whether its names can be names.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let name =
            |text: &str| (1..=1024).contains(&text.len()) && !text.contains(['/', '\0', '\n']);
        is_container(&self.container)
            && self.netns.is_absolute()
            && name(&self.pod.namespace)
            && name(&self.pod.name)
            && self.pod.uid.len() <= 1024
            && self.addresses.len() <= 64
    }
}

impl Ask {
    #[must_use]
    pub const fn now(self) -> Question {
        Question { version: VERSION, ask: self }
    }
}

/// A message as it is sent.
pub fn line(message: &impl Serialize) -> Vec<u8> {
    // Plain structs with string keys always serialize.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads a message that is one line.
///
/// # Errors
///
/// When it is none, is longer than any, or ends before its end.
pub fn read<T: DeserializeOwned>(from: impl Read) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(from.take(LONGEST)).read_until(b'\n', &mut line)?;
    parse(&line)
}

/// A message of one whole line.
///
/// # Errors
///
/// When it is none.
pub fn parse<T: DeserializeOwned>(line: &[u8]) -> io::Result<T> {
    match line.strip_suffix(b"\n") {
        Some(message) => Ok(serde_json::from_slice(message)?),
        None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "a message without an end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn handed() -> Handed {
        Handed {
            container: "c0ffee".to_owned(),
            netns: "/run/netns/x".into(),
            interface: "eth0".to_owned(),
            pod: PodRef {
                namespace: "shop".to_owned(),
                name: "cart".to_owned(),
                uid: "7".to_owned(),
            },
            addresses: vec![[10, 0, 0, 2].into()],
        }
    }

    #[test]
    fn a_question_is_read_as_it_was_asked() {
        let said = line(&Ask::Add(handed()).now());
        assert_eq!(
            String::from_utf8_lossy(&said),
            concat!(
                r#"{"version":1,"ask":"add","container":"c0ffee","netns":"/run/netns/x","#,
                r#""interface":"eth0","pod":{"namespace":"shop","name":"cart","uid":"7"},"#,
                r#""addresses":["10.0.0.2"]}"#,
                "\n"
            )
        );
        assert_eq!(read::<Question>(&*said).unwrap(), Ask::Add(handed()).now());
    }

    #[test]
    fn a_later_question_is_known_to_be_unknown() {
        let said = b"{\"version\":2,\"ask\":\"dance\",\"with\":\"me\"}\n";
        assert_eq!(read::<Question>(&said[..]).unwrap().ask, Ask::Unknown);
    }

    #[test]
    fn half_a_message_is_none() {
        let said = line(&Ask::Status.now());
        let half = said.get(..said.len() - 1).unwrap();
        assert_eq!(read::<Question>(half).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read::<Question>(&b""[..]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_unsound() {
        assert!(handed().is_sound());
        assert!(!Handed { container: "../x".to_owned(), ..handed() }.is_sound());
        assert!(!Handed { netns: "run/x".into(), ..handed() }.is_sound());
        let pod = PodRef { name: String::new(), ..handed().pod };
        assert!(!Handed { pod, ..handed() }.is_sound());
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_a_panic(bytes in any::<Vec<u8>>()) {
            drop(parse::<Question>(&bytes));
            drop(parse::<Answer>(&bytes));
        }
    }
}

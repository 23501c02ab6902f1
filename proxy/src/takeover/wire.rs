//! What two generations say to each other: one JSON document per line.
//!
//! Old and new may be of different releases: a field may be added, none may change its meaning,
//! and what is not known is ignored.
use serde::{Deserialize, Serialize};

/// The longest line; the real ones have some hundred bytes.
pub(super) const LONGEST: usize = 16 * 1024;

/// The newcomer's first word.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) version: String,
    /// Layout of the kernel maps it writes.
    pub(super) abi: u32,
    pub(super) pid: u32,
    /// Inode of the network namespace it runs in; zero when it does not say.
    #[serde(default)]
    pub(super) netns: u64,
    /// Of which template its pod is, if it is in one.
    #[serde(default)]
    pub(super) pod_generation: Option<u64>,
}

/// The older process's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum Answer {
    /// It stopped enrolling; its listeners come with this line, in this order.
    Over { version: String, pid: u32, listeners: Vec<Role> },
    /// It stays; why, and what to do, for the newcomer's last words.
    Refused { reason: String, next: String },
}

/// The newcomer has set up everything: the older process may go.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) generation: u64,
}

/// The older process's last word; without it, it may have taken the node back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Gone {
    pub(super) gone: bool,
}

/// What a handed listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// The admin socket in the run folder.
    Door,
    Admin,
    Metrics,
    Readiness,
    /// Where nodes are told what there is.
    Xds,
    XdsTls,
    /// One that this release does not know.
    #[serde(other)]
    Unknown,
}

/// A message as it is sent.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    // Plain structs with string keys always serialize.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_a_later_release_is_read_as_unknown() {
        let said = r#"{"answer":"over","version":"9","pid":1,"listeners":["metrics","dns"],"x":1}"#;
        let Answer::Over { listeners, .. } = serde_json::from_str(said).unwrap() else {
            panic!("not over")
        };
        assert_eq!(listeners, [Role::Metrics, Role::Unknown]);
    }
}

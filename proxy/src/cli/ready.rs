//! `culvert ready`
use super::{
    door::{DoorArgs, Whom},
    output,
};
use crate::{
    admin::view,
    config::sources::Variables,
    failure::{Exit, Failure},
};

/// Whether the process of this container holds the node.
///
/// Two processes of one node share its addresses while one takes over from the other, so neither a
/// port nor a socket tells whose answer it is. A node says in which pod it is (the setting
/// `pod_uid`), and this command, run in a container, compares that with the container's
/// `CULVERT_POD_UID`; without that variable any process will do.
/// Exit code 1, with a sentence why, as long as it does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert ready                as the startup probe of a container (exec)
  culvert ready --instance b")]
pub(crate) struct Ready {
    #[command(flatten)]
    door: DoorArgs,
}

impl Ready {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let door = self.door.door(variables, Whom::Node)?;
        let own = variables.get("CULVERT_POD_UID").filter(|uid| !uid.is_empty());
        let own = own.map(|uid| uid.to_string_lossy());
        let told = door.get("/ready").and_then(|document| door.read::<view::Ready>(&document));
        let judged = match told {
            Ok(told) => judge(own.as_deref(), &told),
            // Not yet, or not any more.
            Err(failure) if failure.exit == Exit::Cannot => Err(failure.to_string()),
            Err(failure) => return Err(failure),
        };
        Ok(match judged {
            Ok(said) => {
                output::print(said);
                Exit::Done
            }
            Err(why) => {
                output::say(why);
                Exit::Found
            }
        })
    }
}

/// What is to be said, and whether it is good news.
fn judge(own: Option<&str>, told: &view::Ready) -> Result<String, String> {
    let view::Ready { ready, waiting, pid, pod } = told;
    match (own, pod.as_deref()) {
        (Some(own), Some(other)) if own != other => Err(format!(
            "the process of pod {other} holds the node (pid {pid}), not yet that of this one, {own}"
        )),
        (Some(own), None) => Err(format!(
            "a process of no pod holds the node (pid {pid}), not yet that of this one, {own}"
        )),
        _ if *ready => Ok("ready".to_owned()),
        _ => Err(format!("not ready: {}", waiting.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ready: bool, pod: Option<&str>) -> view::Ready {
        let waiting = if ready { Vec::new() } else { vec!["for the mesh".to_owned()] };
        view::Ready { ready, waiting, pid: 7, pod: pod.map(str::to_owned) }
    }

    #[test]
    fn only_the_process_of_the_own_pod_is_good_news() {
        assert_eq!(judge(Some("a"), &told(true, Some("a"))).as_deref(), Ok("ready"));
        assert_eq!(
            judge(Some("a"), &told(false, Some("a"))).unwrap_err(),
            "not ready: for the mesh"
        );
        let other = judge(Some("a"), &told(true, Some("b"))).unwrap_err();
        assert!(other.starts_with("the process of pod b holds the node"), "{other}");
        assert!(judge(Some("a"), &told(true, None)).is_err());
    }

    #[test]
    fn outside_of_pods_any_process_will_do() {
        assert!(
            judge(None, &told(true, None)).is_ok() && judge(None, &told(true, Some("b"))).is_ok()
        );
        assert!(judge(None, &told(false, None)).is_err());
    }
}

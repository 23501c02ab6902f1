//! One call of the plugin, from the environment and standard input to what is written and the exit
//! code.
use crate::{
    ask::ask,
    call::{Call, PodRef, Sandbox},
    conf::{self, Conf},
    enrolled::{Enrolled, EnrolledError},
    failure::{Code, Failure},
    message::{Answer, Ask, Handed, Question},
    result,
};
use std::{
    error::Error,
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long a node may be away before a pod of the mesh is refused: between two processes that
/// take over from each other, or while one is started again.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it may take to capture a pod: longer than it gives itself.
const CAPTURE: Duration = Duration::from_secs(30);

/// How long to answer anything else.
const WORD: Duration = Duration::from_secs(5);

/// How often it is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// What a call leads to.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output.
    pub said: String,
    pub succeeded: bool,
}

/// Carries out the call that the environment asks for, with `text` from standard input.
pub fn run(variable: impl Fn(&str) -> Option<String>, text: &[u8]) -> Outcome {
    match called(variable, text) {
        Ok(said) => Outcome { said, succeeded: true },
        Err(failure) => Outcome { said: failure.json(conf::version_of(text)), succeeded: false },
    }
}

fn called(variable: impl Fn(&str) -> Option<String>, text: &[u8]) -> Result<String, Failure> {
    let call = Call::read(variable)?;
    if call == Call::Version {
        return Ok(versions(conf::version_of(text)));
    }
    let conf = Conf::read(text)?;
    if conf::numbers(conf.cni_version) < call.since() {
        let (major, minor) = call.since();
        let what = format_args!("version {} has no such command", conf.cni_version);
        let next =
            format!("set `cniVersion` of the CNI configuration to {major}.{minor}.0 or later");
        return Err(Failure::new(Code::IncompatibleVersion, what, next));
    }
    match call {
        Call::Add(sandbox) => {
            let Some(made) = &conf.prev_result else {
                return Err(Failure::new(
                    Code::InvalidConfig,
                    "it makes no network itself: there is no prevResult",
                    "put it after another plugin in the list of plugins",
                ));
            };
            let addresses = result::addresses(made.get())?;
            hand_over(&conf, sandbox, addresses, Ask::Add)?;
            // As it came: nothing was changed.
            Ok(made.get().to_owned())
        }
        Call::Check(sandbox) => {
            let made = conf.prev_result.as_ref().map(|made| result::addresses(made.get()));
            hand_over(&conf, sandbox, made.transpose()?.unwrap_or_default(), Ask::Check)?;
            Ok(String::new())
        }
        Call::Del { container } => Ok(tell(&conf, Ask::Del { container })),
        Call::Gc => Ok(match conf.attachments.clone() {
            Some(containers) => tell(&conf, Ask::Gc { containers }),
            // CNI's own library says none where its caller gave none, after it has deleted what
            // it remembers: nobody says of the others that they are gone.
            None => String::new(),
        }),
        Call::Status => status(&conf),
        Call::Version => Ok(versions(conf.cni_version)),
    }
}

fn versions(cni_version: &str) -> String {
    let versions: Vec<_> = conf::VERSIONS.iter().map(|version| format!("\"{version}\"")).collect();
    format!(r#"{{"cniVersion":"{cni_version}","supportedVersions":[{}]}}"#, versions.join(","))
}

/// Has the node capture the pod, or decides without it that nobody need.
fn hand_over(
    conf: &Conf,
    sandbox: Sandbox,
    addresses: Vec<std::net::IpAddr>,
    ask_for: fn(Handed) -> Ask,
) -> Result<(), Failure> {
    let Sandbox { container, netns, interface, pod } = sandbox;
    let Some(pod) = pod else { return Ok(()) };
    let handed = Handed { container, netns, interface, pod: pod.clone(), addresses };
    let question = ask_for(handed).now();
    let begun = Instant::now();
    loop {
        let away = match ask(&conf.socket, &question, CAPTURE) {
            Ok(Answer::Captured | Answer::Outside | Answer::Done) => return Ok(()),
            Ok(Answer::Refused { reason, next }) => {
                let what = format_args!("pod {pod} is in the mesh, and not captured: {reason}");
                return Err(Failure::new(Code::TryAgainLater, what, next));
            }
            Err(away) => away,
        };
        match Enrolled::read(&conf.enrolled) {
            Ok(None) => return Ok(()),
            Ok(Some(enrolled)) if !enrolled.has(&pod) => return Ok(()),
            known if begun.elapsed() >= PATIENCE => {
                return Err(match known {
                    Ok(_) => away_failure(&pod, &conf.socket, &away),
                    Err(error) => unknown_failure(&pod, &conf.socket, &error),
                });
            }
            Ok(Some(_)) | Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn away_failure(pod: &PodRef, socket: &Path, away: &io::Error) -> Failure {
    let namespace = &pod.namespace;
    Failure::new(
        Code::TryAgainLater,
        format_args!(
            "pod {pod} is in the mesh, and the node proxy is away: nothing would capture it ({}: {away})",
            socket.display()
        ),
        format!(
            "see that the culvert pod of this node runs: it is tried again until it does; or take culvert off this node with `culvert uninstall`, and namespace {namespace} runs without the mesh here"
        ),
    )
}

fn unknown_failure(pod: &PodRef, socket: &Path, error: &EnrolledError) -> Failure {
    let because = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(
        Code::TryAgainLater,
        format_args!(
            "the node proxy is away ({}), and whether pod {pod} is in the mesh cannot be told: {error}{because}",
            socket.display()
        ),
        "start the culvert pod of this node, which writes the file anew; or remove the file, and no pod waits for the mesh",
    )
}

/// Tells the node of what it need not know: without one, nothing is lost.
fn tell(conf: &Conf, ask_for: Ask) -> String {
    let question: Question = ask_for.now();
    // It looks by itself when it starts.
    drop(ask(&conf.socket, &question, WORD));
    String::new()
}

/// Without a node pods outside the mesh can still be added; not when nobody knows which those are.
fn status(conf: &Conf) -> Result<String, Failure> {
    let answered = ask(&conf.socket, &Ask::Status.now(), WORD);
    match (answered, Enrolled::read(&conf.enrolled)) {
        (Ok(_), _) | (Err(_), Ok(_)) => Ok(String::new()),
        (Err(_), Err(error)) => Err(Failure::new(
            Code::NotAvailable,
            format_args!("the node proxy is away, and who is in the mesh cannot be told: {error}"),
            "start the culvert pod of this node, which writes the file anew; or remove the file",
        )),
    }
}

#[cfg(test)]
mod tests;

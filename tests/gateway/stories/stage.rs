//! A proxy that runs, and servers behind it, for a story.
use crate::{
    backend::Backends,
    recorded, run,
    server::{Server, Which},
};
use std::{path::PathBuf, process::Command};
use tokio::{runtime::Runtime, task::JoinSet};

/// All that a story has around it.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) scene: run::Scene,
    pub(super) runtime: Runtime,
    _tasks: JoinSet<()>,
}

impl Stage {
    /// Starts the proxy with a case's configuration.
    pub(super) fn start(name: &str, text: &str) -> Self {
        Self::start_after(name, text, |_| ()).0
    }

    /// The same after something else that the proxy needs has started.
    pub(super) fn start_after<T>(
        name: &str,
        text: &str,
        first: impl FnOnce(&run::Scene) -> T,
    ) -> (Self, T) {
        let mut scene = run::Scene::make(&format!("story::{name}"));
        let case = scene.read(name, text);
        let (runtime, mut tasks) = (run::runtime(), JoinSet::new());
        let backends = Backends::default();
        for (name, port) in scene.ports.named() {
            runtime.block_on(backends.start(&mut tasks, name, *port, &scene.certificates));
        }
        let first = first(&scene);
        let file = scene.write(&case);
        let server = Server::start(which(), &file, scene.ports.named()["admin"]);
        let server = server.unwrap_or_else(|why| panic!("{why}\n{}", run::by_hand(&scene.dir)));
        (Self { server, scene, runtime, _tasks: tasks }, first)
    }

    pub(super) fn port(&self, name: &str) -> u16 {
        self.scene.ports.named()[name]
    }

    /// `http://` and the listener's address.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port("l"))
    }
}

/// The proxy of this run.
pub(super) fn which() -> Which {
    if recorded::is_envoy_alone() { Which::Envoy } else { Which::Culvert }
}

/// What a program printed, once it has ended well.
pub(super) fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .concat();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// A file beside the tests.
pub(super) fn beside(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("gateway/peers").join(name)
}

/// A program of the peers that `cargo xtask peers` gets.
pub(super) fn peer(name: &str) -> PathBuf {
    let found = crate::server::target().join("peers").join(name);
    assert!(found.exists(), "no {}: cargo xtask peers --bench", found.display());
    found
}

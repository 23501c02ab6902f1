//! Running tests with nextest, which lives in the target folder.
use std::process::Command;

use anyhow::Result;

use crate::{
    peers::{self, Wanted},
    process,
    workspace::{self, HOST},
};

const VERSION: &str = "0.9.151";

/// The tests that change kernel state: end to end, and the suites of crates that work in namespaces.
const NEEDS_ROOT: &str =
    "package(e2e) + (kind(test) & (package(culvert-kernel) + package(culvert-lab)))";

/// Those among them whose peers are not fetched for every run.
const INTEROP: &str = "binary(interop)";

/// The tests that meet an API server: those of test programs whose names start so, in any package.
const API: &str = "(kind(test) & binary(/^api/))";

/// The tests that need a cluster with nodes.
const NODES: &str = "(kind(test) & binary(/^nodes/))";

/// The gateway beside Envoy, which needs neither root nor a cluster.
const GATEWAY: &str = "(package(e2e) & binary(gateway))";

/// Those among its tests that take minutes.
const LONG: &str = "(package(e2e) & binary(gateway) & test(/^long::/))";

/// The programs that tests which need root are in: no others are built for them.
const ROOTED: &[&str] = &["e2e", "kernel", "netlink", "lab"];

/// Parts of test names; without any, all tests are meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter<'a> {
    words: &'a [String],
    /// Whether they may be of tests of another suite, which runs too: then none here is no failure.
    is_shared: bool,
}

impl<'a> Filter<'a> {
    /// For tests of one suite.
    pub(super) fn own(words: &'a [String]) -> Self {
        Self { words, is_shared: false }
    }

    /// For tests of several.
    pub(super) fn shared(words: &'a [String]) -> Self {
        Self { words, is_shared: !words.is_empty() }
    }
}

/// Runs the tests that need no privilege: the codecs' have curl, nginx and nghttp2 as their peers.
pub(super) fn unit(filter: Filter<'_>) -> Result<()> {
    peers::get(Wanted::Units)?;
    let mut command = Command::new(program()?);
    command.env("PATH", peers::path()?);
    command.args(arguments(&[], &format!("not ({NEEDS_ROOT} + {API} + {NODES})"), filter));
    process::run(command.current_dir(workspace::root()))?;
    if filter.words.is_empty() { examples() } else { Ok(()) }
}

/// The examples in documentation, which nextest does not run.
fn examples() -> Result<()> {
    process::quietly(workspace::cargo().args(["test", "-q", "--doc"]).args(HOST))
}

/// The arguments that run the tests that need root.
pub(super) fn needing_root(filter: Filter<'_>) -> Vec<String> {
    arguments(ROOTED, &format!("({NEEDS_ROOT}) - {INTEROP} - {API} - {NODES} - {GATEWAY}"), filter)
}

/// The arguments that run the gateway beside Envoy; the long ones only when they are meant.
pub(super) fn gateway(filter: Filter<'_>) -> Vec<String> {
    let is_long = filter.words.iter().any(|word| word.starts_with("long"));
    let expression = if is_long { GATEWAY.to_owned() } else { format!("{GATEWAY} - {LONG}") };
    arguments(&["gateway"], &expression, filter)
}

/// The arguments that run the tests of the API server.
pub(super) fn api(filter: Filter<'_>) -> Vec<String> {
    arguments(&["api*"], API, filter)
}

/// The arguments that run the tests on nodes.
pub(super) fn nodes(filter: Filter<'_>) -> Vec<String> {
    arguments(&["nodes*"], NODES, filter)
}

/// The arguments that run the tests whose peers are Istio's programs.
pub(super) fn interop(filter: Filter<'_>) -> Vec<String> {
    arguments(&["interop"], INTEROP, filter)
}

/// Builds what tests start: `culvert`, and the peer that runs beside it in pods.
pub(super) fn programs() -> Result<()> {
    let bins = ["culvert", "peer"].into_iter().flat_map(|bin| ["--bin", bin]);
    // The test, a small one, makes cargo choose the features that the tests are built with.
    let with = ["--test", "lab"];
    process::run(workspace::cargo().arg("build").args(HOST).args(bins).args(with))
}

/// The program `cargo-nextest`, compiled the first time.
pub(super) fn program() -> Result<std::path::PathBuf> {
    workspace::tool("cargo-nextest", VERSION)
}

/// The arguments that run what `expression` selects of some test programs; of none: of all.
fn arguments(programs: &[&str], expression: &str, filter: Filter<'_>) -> Vec<String> {
    let fixed = ["nextest", "run"].iter().chain(HOST);
    let programs = programs.iter().flat_map(|program| ["--test", program]);
    let mut arguments: Vec<_> = fixed.copied().chain(programs).map(str::to_owned).collect();
    // A word that fits nothing is a slip.
    let none = if filter.is_shared { "pass" } else { "fail" };
    arguments.extend([format!("--no-tests={none}"), format!("--filterset={expression}")]);
    arguments.extend_from_slice(filter.words);
    arguments
}

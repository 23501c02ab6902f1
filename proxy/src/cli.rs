//! The command line: one file per command.
pub(crate) mod certificates;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod cni;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod connections;
pub(crate) mod control;
pub(crate) mod demo;
pub(crate) mod door;
pub(crate) mod gateway;
pub(crate) mod log;
pub(crate) mod node;
pub(crate) mod output;
pub(crate) mod policies;
pub(crate) mod ready;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod uninstall;
pub(crate) mod up;
pub(crate) mod version;
pub(crate) mod why;

use crate::{
    config::sources::Variables,
    demo::peer::Peer,
    failure::{Exit, Failure},
};

/// A service mesh without sidecars: one proxy per node, fed by eBPF.
#[derive(Debug, clap::Parser)]
#[command(
    name = "culvert",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  culvert demo                show what it does, here and now
  culvert up -f manifests/    hold the pods of this machine, as the manifests say
  culvert control -f manifests/  and on each machine  culvert node --config node.yaml
  culvert gateway shop/edge --config gateway.yaml  a Gateway of the mesh
  culvert gateway -c envoy.yaml  an HTTP proxy, configured as an Envoy is
  culvert check manifests/    what is wrong with manifests, before anybody runs them
  culvert status              what the running node does, and what is wrong

Exit codes: 0 done, 1 found problems, 2 wrong use, 3 cannot reach or cannot run."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Demo(demo::Demo),
    /// The applications of the demonstration's pods.
    #[command(hide = true, subcommand)]
    DemoPeer(Peer),
    Up(Box<up::Up>),
    Node(Box<node::Node>),
    Control(Box<control::Control>),
    Gateway(Box<gateway::Gateway>),
    Token(token::Token),
    Status(status::Status),
    Ready(ready::Ready),
    Certificates(certificates::Certificates),
    Policies(policies::Policies),
    Check(check::Check),
    Why(why::Why),
    Connections(connections::Connections),
    Config(config::Config),
    Log(log::Log),
    Cni(cni::Cni),
    Uninstall(uninstall::Uninstall),
    Version(version::Version),
    Completion(completion::Completion),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    ///
    /// When it could not be done; the failure says what to do next.
    pub(crate) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        match self.command {
            Command::Demo(demo) => demo.run(),
            Command::DemoPeer(peer) => peer.run(),
            Command::Up(up) => up.run(variables),
            Command::Node(node) => node.run(variables),
            Command::Control(control) => control.run(variables),
            Command::Gateway(gateway) => gateway.run(variables),
            Command::Token(token) => token.run(variables),
            Command::Status(status) => status.run(variables),
            Command::Ready(ready) => ready.run(variables),
            Command::Certificates(certificates) => certificates.run(variables),
            Command::Policies(policies) => policies.run(variables),
            Command::Check(check) => check.run(),
            Command::Why(why) => why.run(variables),
            Command::Connections(connections) => connections.run(variables),
            Command::Config(config) => config.run(variables),
            Command::Log(log) => log.run(variables),
            Command::Cni(cni) => cni.run(),
            Command::Uninstall(uninstall) => uninstall.run(variables),
            Command::Version(version) => version.run(),
            Command::Completion(completion) => completion.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{}", command.get_name());
            assert!(help.contains(&format!("culvert {}", command.get_name())), "{help}");
        }
    }
}

//! `culvert token`
use super::{
    door::{HereArgs, Whom},
    output,
};
use crate::{
    admin::view,
    config::{duration, sources::Variables},
    failure::{Exit, Failure},
};
use culvert_kubernetes::path::escape;
use std::time::Duration;

/// Print the token by which a node or a gateway joins the mesh.
///
/// Asks the control plane that runs on this machine. Whoever has the token can be that node and
/// get the certificates of the pods that it hosts: keep it as secret as a key. It also says by
/// what to know the control plane, so the node needs nothing else. The node needs it whenever
/// its process starts anew, and then until it has a certificate of its own.
/// A gateway, NAMESPACE/NAME, gets by its token the certificate of its service account, which is
/// called as the gateway is, and no other; it needs the token as long as it runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert token worker-1 > worker-1.token
  culvert token worker-1 --good-for 24h
  culvert token shop/edge > edge.token        for `culvert gateway shop/edge`
  culvert token worker-1 --instance node      of a control plane inside `culvert up`
  culvert token worker-1 --void               one was lost: none of its tokens is good any more")]
pub(crate) struct Token {
    /// The node, by its setting `node_name`; or the gateway.
    #[arg(value_name = "NODE|NAMESPACE/NAME")]
    joining: String,
    /// For how long; a whole number with a unit.
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = duration)]
    good_for: Duration,
    /// Make none, but make all void that the node has: whoever is connected by one is cut off.
    #[arg(long, conflicts_with = "good_for")]
    void: bool,
    #[command(flatten)]
    door: HereArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Token {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let Self { joining, good_for, void, door, output } = self;
        let door = door.door(variables, Whom::Control)?;
        if void {
            let document = door.post(&format!("/token/void?node={}", escape(&joining)))?;
            match output {
                output::Format::Json => output::print(document),
                output::Format::Text => {
                    let node = door.read::<view::Voided>(&document)?.node;
                    let kind = if node.contains('/') { "gateway" } else { "node" };
                    output::print(format!("no token of {kind} {node} is good any more"));
                }
            }
            return Ok(Exit::Done);
        }
        let seconds = good_for.as_secs().max(1);
        let path = format!("/token?node={}&good_for={seconds}", escape(&joining));
        let document = door.post(&path)?;
        match output {
            output::Format::Json => output::print(document),
            output::Format::Text => output::print(door.read::<view::Token>(&document)?.token),
        }
        Ok(Exit::Done)
    }
}

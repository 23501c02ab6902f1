//! Whether a connection may reach the application.
use crate::{account::Account, errors::InboundError};
use culvert_model::snapshot::Known;
use culvert_policy::route::is_own_port;
use std::sync::Arc;

/// That it may.
#[derive(Debug)]
pub(crate) struct Authorized {
    /// The pod, whose policies said so.
    pub(crate) known: Arc<Known>,
    /// A policy on trial would have denied it.
    pub(crate) on_trial: bool,
    /// It reaches the application by way of L7 only.
    pub(crate) must_pass: bool,
}

/// Asks the policies of the pod it came to, as they are now; waits some time when the pod is not
/// announced yet.
///
/// # Errors
///
/// When they deny it, nobody has said what they are, the port is one of the proxy's own, or the
/// application is to be reached in another way.
pub(crate) async fn authorize(account: &mut Account) -> Result<Authorized, InboundError> {
    let port = account.destination().port();
    if is_own_port(port) {
        return Err(InboundError::OwnPort(port));
    }
    let pod = Arc::clone(account.pod());
    drop(pod.known().await?);
    // From here on, a change by which it must pass L7 finds it.
    account.go_past_l7(true);
    let seen = pod.known().await?;
    if seen.known.member.app_tunnel.is_some() {
        return Err(InboundError::AppTunnel);
    }
    let on_trial = account.judge(&seen.known).map_err(InboundError::Denied)?;
    let must_pass = seen.known.member.l7.contains(port);
    account.go_past_l7(!must_pass);
    Ok(Authorized { known: seen.known, on_trial, must_pass })
}

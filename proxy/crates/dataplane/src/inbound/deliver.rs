//! The connection to the application, which sees the client's own address; or to the engine that it
//! must pass before.
use super::authorize::{Authorized, authorize};
use crate::{
    account::Account,
    connect::{connected, reached},
    errors::{InboundError, OpenError},
    l7,
    pods::sockets::Sockets,
};
use culvert_model::facts::Direction;
use culvert_runtime::doors::Place;
use std::future::pending;
use tokio::{io::Interest, net::TcpStream};

/// What continues a connection.
#[derive(Debug)]
pub(crate) enum Reached {
    App(TcpStream),
    L7(Box<dyn Place>),
}

/// Asks the policies of the pod, and reaches its application in the client's name, while `source`
/// is there.
///
/// # Errors
///
/// When policy denies it, or the application cannot be reached.
pub(crate) async fn deliver(
    account: &mut Account,
    sockets: &Sockets,
    source: &TcpStream,
) -> Result<(Reached, Authorized), InboundError> {
    let authorized = authorize(account).await?;
    let reached = reach(account, sockets, authorized.must_pass, Some(source)).await?;
    Ok((reached, authorized))
}

/// Reaches what continues a connection that may pass, unless somebody cuts it.
///
/// # Errors
///
/// When it cannot be reached, or must pass L7 and nobody takes it.
pub(crate) async fn reach(
    account: &Account,
    sockets: &Sockets,
    must_pass: bool,
    source: Option<&TcpStream>,
) -> Result<Reached, InboundError> {
    let (client, destination) = (account.source(), account.destination());
    if must_pass {
        let left = async {
            match source {
                Some(source) => drop(source.ready(Interest::ERROR).await),
                None => pending().await,
            }
        };
        let place = Box::pin(l7::place(account.pod(), Direction::Inbound, destination));
        let place = tokio::select! {
            place = account.guard(place) => place.map_err(InboundError::Cut)??,
            () = left => return Err(OpenError::SourceLeft { destination }.into()),
        };
        return Ok(Reached::L7(place));
    }
    let limit = account.pod().shared.connect_timeout;
    let connecting = sockets
        .deliver(client.ip(), destination)
        .map_err(|error| InboundError::deliver(error, limit))?;
    let reached = match source {
        Some(source) => connected(connecting, destination, source, limit),
        None => reached(connecting, destination, limit),
    };
    Ok(Reached::App(account.guard(reached).await.map_err(InboundError::Cut)??))
}

//! Connections that must pass L7: handed to the HTTP engine of a namespace, and opened for it.
//!
//! What an engine gets is counted, listed and cut as any other connection until it lets go of it.
//!
//! Reading order: [`place`] (who takes it), [`carried`] (what is handed over), [`dial`] (what
//! engines have opened).
pub(crate) mod carried;
pub(crate) mod dial;

use crate::{account::Account, pods::pod::Pod};
use carried::Carried;
use culvert_model::{facts::Direction, party::Party};
use culvert_runtime::doors::{Handover, NoPlace, Place};
use std::{net::SocketAddr, sync::Arc};

/// Finds who takes a connection of `pod`, and waits some time for it to be there.
///
/// # Errors
///
/// When nobody does.
pub(crate) async fn place(
    pod: &Pod,
    direction: Direction,
    at: SocketAddr,
) -> Result<Box<dyn Place>, NoPlace> {
    let Some(door) = &pod.shared.l7 else {
        return Err(NoPlace("it must pass L7, and this process has no L7".to_owned()));
    };
    let namespace = Arc::clone(&pod.workload().name.namespace);
    door.place(&namespace, direction, at).await
}

/// Hands a connection over that its pod made.
pub(crate) fn hand_out(place: Box<dyn Place>, mut carried: Carried) {
    let Some(account) = carried.account() else { return };
    let (facts, party) = (account.facts(), Party::Source(account.pod().uid.clone()));
    carried.taken();
    place.take(Handover { bytes: Box::new(carried), facts, party });
}

/// Hands a connection over that came to a pod, whose account is the last of `carried`.
pub(crate) fn hand_in(place: Box<dyn Place>, mut carried: Carried) {
    let Some(account) = carried.account() else { return };
    let facts = account.facts();
    let client = facts.source.ip();
    let party = Party::Destination { pod: account.pod().uid.clone(), client };
    carried.taken();
    place.take(Handover { bytes: Box::new(carried), facts, party });
}

impl Carried {
    fn account(&self) -> Option<&Account> {
        self.accounts().last()
    }
}

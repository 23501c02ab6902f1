//! Secrets that this process has itself, in the place of a server of which others ask theirs.
use super::{Own, Source};
use crate::envoy::{kind::Kind, stream::Wanted};
use std::sync::Arc;
use tokio::sync::watch;

/// Tells those that are wanted, whenever they may be others.
pub(super) async fn follow(mut source: Source, mut own: watch::Receiver<Own>) {
    loop {
        let wants = source.wants.borrow_and_update().clone();
        let have = own.borrow_and_update().clone();
        if let Some(Wanted::Names(names)) = wants.get(&Kind::Secret)
            && !have.is_empty()
        {
            let mut assembler = source.shared.assembler.lock();
            for name in names {
                let (name, asked) = (Arc::clone(name), source.asked.clone());
                match have.get(&name) {
                    Some(secret) => assembler.set_secret(name, asked, secret.clone(), super::now()),
                    None => assembler.set_absent((Kind::Secret, name)),
                }
            }
            drop(assembler);
            source.shared.connected(&source.asked);
            source.shared.changed.notify_one();
        }
        tokio::select! {
            changed = source.wants.changed() => if changed.is_err() { return },
            changed = own.changed() => if changed.is_err() { return },
        }
    }
}

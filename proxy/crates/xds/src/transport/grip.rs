//! Ending a connection from elsewhere.
use super::door::Standing;
use parking_lot::Mutex;
use std::{
    io,
    sync::Arc,
    task::{Context, Waker},
};
use tokio::sync::watch;

/// The connection's own side.
#[derive(Debug)]
pub(super) struct Hold {
    cut: Arc<Mutex<State>>,
    /// Its end is seen by whoever has the grip.
    _open: watch::Sender<()>,
}

/// The side of whoever may end it.
#[derive(Debug)]
pub struct Grip {
    cut: Arc<Mutex<State>>,
    open: watch::Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    reader: Option<Waker>,
}

/// Both sides of a connection.
pub(super) fn new() -> (Hold, Grip) {
    let (cut, (sender, open)) = (Arc::default(), watch::channel(()));
    (Hold { cut: Arc::clone(&cut), _open: sender }, Grip { cut, open })
}

impl Hold {
    /// To be asked before each read.
    ///
    /// # Errors
    ///
    /// When the connection was ended.
    pub(super) fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        let mut state = self.cut.lock();
        if state.is_cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            reader @ None => *reader = Some(cx.waker().clone()),
        }
        Ok(())
    }
}

impl Grip {
    /// Ends the connection.
    pub fn cut(&self) {
        let mut state = self.cut.lock();
        state.is_cut = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// Resolves when the connection is gone.
    pub async fn gone(&mut self) {
        while self.open.changed().await.is_ok() {}
    }

    /// Resolves when the connection is gone, or was admitted.
    pub async fn settled(&mut self, standing: &Standing) {
        tokio::select! {
            () = self.gone() => {}
            () = standing.admitted() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, task::Poll};

    #[tokio::test]
    async fn a_connection_is_cut_while_it_is_read() {
        let (hold, mut grip) = new();
        let reads = poll_fn(|cx| match hold.check(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error.kind()),
        });
        let (read, ()) = tokio::join!(reads, async {
            tokio::task::yield_now().await;
            grip.cut();
        });
        assert_eq!(read, io::ErrorKind::ConnectionAborted);
        drop(hold);
        grip.gone().await;
    }
}

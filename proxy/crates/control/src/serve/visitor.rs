//! Connections of strangers: few of each address, and not for long.
//!
//! A stranger becomes a caller with the first call that is admitted. Until then it may take a
//! descriptor and some memory, so there is a bound to how many of them there are, to how many come
//! from one address, and to how long they may take: whoever says nothing, or a byte now and then,
//! harms nobody else.
use culvert_xds::transport::door::Standing;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

/// How many strangers there may be.
const ALL: usize = 4096;

/// And of one address.
const OF_ONE: usize = 1024;

/// Counts strangers.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One of them; counted until this is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    strangers: Strangers,
    address: IpAddr,
}

/// A connection that can be ended from elsewhere.
#[derive(Debug)]
pub(super) struct Held<IO> {
    io: IO,
    cut: Arc<Cut>,
    /// Its end is seen by whoever holds the other side.
    _open: watch::Sender<()>,
}

/// Ends a connection.
#[derive(Debug, Default)]
struct Cut(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_cut: bool,
    reader: Option<Waker>,
}

/// The other side of a [`Held`].
#[derive(Debug)]
pub(super) struct Grip {
    cut: Arc<Cut>,
    open: watch::Receiver<()>,
}

impl Strangers {
    /// `None` when there are too many.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Stranger> {
        let mut counts = self.0.lock();
        let of_one = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= ALL || of_one >= OF_ONE {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, of_one + 1);
        Some(Stranger { strangers: self.clone(), address })
    }
}

impl Stranger {
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = self.strangers.0.lock();
        counts.all = counts.all.saturating_sub(1);
        if let Some(of_one) = counts.by_address.get_mut(&self.address) {
            *of_one = of_one.saturating_sub(1);
            if *of_one == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

impl<IO> Held<IO> {
    pub(super) fn new(io: IO) -> (Self, Grip) {
        let (cut, (sender, open)) = (Arc::<Cut>::default(), watch::channel(()));
        let grip = Grip { cut: Arc::clone(&cut), open };
        (Self { io, cut, _open: sender }, grip)
    }
}

impl Grip {
    /// Ends the connection.
    pub(super) fn cut(&self) {
        let mut state = self.cut.0.lock();
        state.is_cut = true;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }

    /// Resolves when the connection is gone.
    pub(super) async fn gone(&mut self) {
        while self.open.changed().await.is_ok() {}
    }

    /// Resolves when the connection is gone, or was admitted.
    pub(super) async fn settled(&mut self, standing: &Standing) {
        tokio::select! {
            () = self.gone() => {}
            () = standing.admitted() => {}
        }
    }
}

impl Cut {
    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        let mut state = self.0.lock();
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

impl<IO: AsyncRead + Unpin> AsyncRead for Held<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = self.cut.check(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Held<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    #[test]
    fn strangers_of_one_address_leave_room_for_others() {
        let strangers = Strangers::default();
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let all: Vec<_> = (0..OF_ONE).map(|_| strangers.enter(one).unwrap()).collect();
        assert!(strangers.enter(one).is_none());
        drop(strangers.enter(two).unwrap());
        drop(all);
        assert!(strangers.enter(one).is_some());
        assert!(strangers.0.lock().by_address.is_empty());
    }

    #[tokio::test]
    async fn a_connection_is_cut_while_it_is_read() {
        let (io, _other) = tokio::io::duplex(64);
        let (mut held, mut grip) = Held::new(io);
        let mut byte = [0];
        let (read, ()) = tokio::join!(held.read(&mut byte), async {
            tokio::task::yield_now().await;
            grip.cut();
        });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        drop(held);
        grip.gone().await;
    }
}

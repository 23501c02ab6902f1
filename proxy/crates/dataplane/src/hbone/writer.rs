//! Sealing what waits in line and giving it to the socket.
use super::{
    line::{Line, Piece},
    parcel::Sealed,
};
use culvert_identity::channel::Sealer;
use parking_lot::Mutex;
use socket2::SockRef;
use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSlice},
    sync::Arc,
};
use tokio::{io::Interest, net::TcpStream};

/// How many pieces go with one call.
const PIECES: usize = 16;

/// Behind a lock that is taken without waiting: whoever has it sends for all.
pub(super) struct Writer {
    /// `None`: closed.
    tcp: Option<Arc<TcpStream>>,
    sealer: Sealer,
    sealed: VecDeque<Sealed>,
    /// Whether one of the sealed says that our keys are new. The peer may ask for that as often as
    /// it likes, and is answered once (RFC 8446 §4.6.3).
    renewed: bool,
}

/// How far it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// Nothing is left.
    Out,
    /// The socket takes no more now.
    Blocked,
}

impl Writer {
    pub(super) fn new(tcp: Arc<TcpStream>, sealer: Sealer) -> Self {
        Self { tcp: Some(tcp), sealer, sealed: VecDeque::new(), renewed: false }
    }

    /// Sends what waits, until nothing does or the socket is full.
    pub(super) fn send(&mut self, line: &Mutex<Line>) -> io::Result<Went> {
        loop {
            self.fill(line)?;
            if self.sealed.is_empty() {
                return Ok(Went::Out);
            }
            let Some(tcp) = &self.tcp else { return Ok(Went::Out) };
            let (written, full) = write(tcp, &self.sealed)?;
            let gone = self.drop_front(written);
            let mut line = line.lock();
            line.sealed(0, gone);
            if full {
                line.blocked = true;
                return Ok(Went::Blocked);
            }
        }
    }

    /// Whether something is sealed and the socket has not taken it.
    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty()
    }

    /// Has the peer told that its keys are to be used no longer, as it did with its own.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.renewed, true) {
            return Ok(());
        }
        let mut record = Vec::new();
        self.sealer.renew(&mut record)?;
        self.sealed.push_back(Sealed::of_records(&record));
        Ok(())
    }

    /// Says goodbye, and, if there is one, why; what does not go at once does not go.
    pub(super) fn farewell(&mut self, why: Option<&io::Error>) {
        let mut records = Vec::new();
        let said = match why {
            Some(why) => self.sealer.complain(why, &mut records),
            None => self.sealer.close(&mut records),
        };
        if said.is_err() || records.is_empty() {
            return;
        }
        self.sealed.push_back(Sealed::of_records(&records));
        if let Some(tcp) = &self.tcp {
            // It is over either way.
            drop(write(tcp, &self.sealed));
        }
    }

    /// Lets go of the socket.
    pub(super) fn close(&mut self) {
        self.tcp = None;
        self.sealed = VecDeque::new();
    }

    /// Seals what waits in line, as much as goes with one call.
    fn fill(&mut self, line: &Mutex<Line>) -> io::Result<()> {
        while self.sealed.len() < PIECES {
            if self.sealer.is_worn() {
                self.renew()?;
            }
            let Some(piece) = line.lock().next() else { return Ok(()) };
            let sealed = match piece {
                Piece::Frames(frames) => Sealed::of_frames(&frames, &mut self.sealer)?,
                Piece::Data(parcel) => parcel.seal(&mut self.sealer)?,
            };
            line.lock().sealed(sealed.size(), 0);
            self.sealed.push_back(sealed);
        }
        Ok(())
    }

    /// So many bytes are gone; says how much memory they took.
    fn drop_front(&mut self, mut count: usize) -> usize {
        let mut gone = 0;
        while let Some(first) = self.sealed.front_mut() {
            let bytes = first.bytes().len();
            if count < bytes {
                first.advance(count);
                break;
            }
            count -= bytes;
            gone += first.size();
            self.sealed.pop_front();
        }
        if self.sealed.is_empty() {
            // At rest it holds nothing.
            (self.sealed, self.renewed) = (VecDeque::new(), false);
        }
        gone
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("sealed", &self.sealed.len()).finish_non_exhaustive()
    }
}

/// Writes once; says how much went, and whether the socket is full.
fn write(tcp: &TcpStream, sealed: &VecDeque<Sealed>) -> io::Result<(usize, bool)> {
    let mut slices = [IoSlice::new(&[]); PIECES];
    let (mut used, mut whole) = (0, 0);
    for (slice, sealed) in slices.iter_mut().zip(sealed) {
        *slice = IoSlice::new(sealed.bytes());
        whole += sealed.bytes().len();
        used += 1;
    }
    let mut written = 0;
    let outcome = tcp.try_io(Interest::WRITABLE, || {
        let socket = SockRef::from(tcp);
        written = match &slices[..used] {
            [one] => socket.send_with_flags(one, libc::MSG_NOSIGNAL)?,
            all => socket.send_vectored_with_flags(all, libc::MSG_NOSIGNAL)?,
        };
        // One that did not take all has filled the socket.
        if written < whole { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Ok(()) => Ok((written, false)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((written, true)),
        Err(error) => Err(error),
    }
}

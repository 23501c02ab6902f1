//! A served connection, as seen by itself and by the body of the request it is at.
use super::{Framing, reader::Reader};
use crate::{
    body::{BodyError, Frame, Length},
    io::Io,
    message::{Inform, ResponseHead},
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// What the connection and the body on its way in share.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) io: Io,
    /// Not contended: both are usually polled by one task.
    incoming: Mutex<Half>,
    /// Something for the connection to do beside what it waits for.
    called: AtomicBool,
    interim: Mutex<Vec<ResponseHead>>,
    task: OnceLock<Waker>,
}

/// The incoming direction.
#[derive(Debug, Default)]
pub(super) struct Half {
    pub(super) reader: Reader,
    /// Which request the body belongs to: a body of an older one is over.
    turn: u64,
    gate: Gate,
    trailers: bool,
}

/// What a body waits for before its first byte.
#[derive(Debug, Default)]
enum Gate {
    #[default]
    Open,
    /// The client waits for a 100, and gets one when the body is asked for.
    Expected,
    /// The body was asked for.
    Wanted,
    /// There is something to read once the response has said so.
    Tunnel(Option<Waker>),
}

/// The body of a request.
#[derive(Debug)]
pub struct Incoming {
    line: Arc<Line>,
    turn: u64,
}

impl Line {
    pub(super) fn new(io: Io, trailers: bool) -> Self {
        Self {
            io,
            incoming: Mutex::new(Half { trailers, ..Half::default() }),
            called: AtomicBool::new(false),
            interim: Mutex::default(),
            task: OnceLock::new(),
        }
    }

    pub(super) fn incoming(&self) -> MutexGuard<'_, Half> {
        self.incoming.lock()
    }

    /// The task of the connection, which does not change.
    pub(super) fn belongs_to(&self, task: &Waker) {
        self.task.get_or_init(|| task.clone());
    }

    /// What was to be said before the response since the last look: whether a 100 is wanted, and
    /// what else there is.
    pub(super) fn take_calls(&self) -> Option<(bool, Vec<ResponseHead>)> {
        // Most requests call for nothing.
        if !self.called.load(Ordering::Acquire) || !self.called.swap(false, Ordering::AcqRel) {
            return None;
        }
        let interim = std::mem::take(&mut *self.interim.lock());
        let gate = &mut self.incoming().gate;
        let wanted = matches!(gate, Gate::Wanted);
        if wanted {
            *gate = Gate::Open;
        }
        Some((wanted, interim))
    }

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Inform for Line {
    fn inform(&self, head: ResponseHead) {
        self.interim.lock().push(head);
        self.call();
    }
}

impl Half {
    /// A request begins; its body, if it has one.
    pub(super) fn begin(
        &mut self,
        line: &Arc<Line>,
        framing: Framing,
        expect: bool,
    ) -> Option<Incoming> {
        self.turn += 1;
        self.gate = Gate::Open;
        self.reader.begin(Framing::Exactly(0));
        match framing {
            Framing::Exactly(0) => return None,
            Framing::Tunnel => self.gate = Gate::Tunnel(None),
            Framing::Exactly(_) | Framing::Chunked | Framing::Rest => {
                self.reader.begin(framing);
                if expect {
                    self.gate = Gate::Expected;
                }
            }
        }
        Some(Incoming { line: Arc::clone(line), turn: self.turn })
    }

    /// The response grants the tunnel, or does not.
    pub(super) fn answer_tunnel(&mut self, granted: bool) {
        if let Gate::Tunnel(waker) = &mut self.gate {
            let waker = waker.take();
            if granted {
                self.reader.begin(Framing::Tunnel);
            }
            self.gate = Gate::Open;
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// The response is written: whoever still has the body reads nothing of the next request.
    pub(super) fn finish(&mut self) {
        self.turn += 1;
    }

    /// Whether the client still waits for a 100 that it will not get.
    pub(super) const fn is_held_back(&self) -> bool {
        matches!(self.gate, Gate::Expected | Gate::Wanted)
    }
}

impl Incoming {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut half = self.line.incoming();
        if half.turn != self.turn {
            return Poll::Ready(Some(Err(BodyError::Over)));
        }
        match &mut half.gate {
            Gate::Open | Gate::Wanted => {}
            Gate::Expected => {
                half.gate = Gate::Wanted;
                drop(half);
                self.line.call();
                half = self.line.incoming();
            }
            Gate::Tunnel(waker) => {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let next = half.reader.poll_frame(cx, &self.line.io);
        match next {
            Poll::Ready(Some(Ok(Frame::Trailers(_)))) if !half.trailers => Poll::Ready(None),
            next @ (Poll::Ready(_) | Poll::Pending) => next,
        }
    }

    pub(crate) fn length(&self) -> Length {
        let half = self.line.incoming();
        match half.gate {
            Gate::Tunnel(_) => Length::Unknown,
            Gate::Open | Gate::Expected | Gate::Wanted => half.reader.length(),
        }
    }
}

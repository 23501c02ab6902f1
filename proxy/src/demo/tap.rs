//! What somebody with a tap on a node's links would hear.
use super::error::StageError;
use culvert_lab::NodeNs;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Every protocol, in network order as the kernel wants it.
const EVERY_PROTOCOL: i32 = 0x0003_u16.to_be() as i32;

/// The largest packet that a link with segmentation offload shows.
const LARGEST: usize = 128 * 1024;

/// How long the tap waits for a packet before it looks whether to go on.
const WAIT: Duration = Duration::from_millis(50);

/// Listens to every packet of a node (`AF_PACKET`) until asked what it heard.
#[derive(Debug)]
pub(super) struct Tap {
    over: Arc<AtomicBool>,
    listener: JoinHandle<io::Result<Heard>>,
}

/// What was on the links.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    pub(super) packets: u64,
    /// Of those, the ones with the canary in them.
    pub(super) sang: u64,
}

impl Tap {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// When the kernel has no packet sockets.
    pub(super) fn on(node: &NodeNs, canary: &'static str) -> Result<Self, StageError> {
        let protocol = Some(Protocol::from(EVERY_PROTOCOL));
        let socket = node.run(|| Socket::new(Domain::PACKET, Type::RAW, protocol))??;
        socket.set_read_timeout(Some(WAIT))?;
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let listen = move || listen(socket, canary.as_bytes(), &told);
        Ok(Self { over, listener: thread::Builder::new().spawn(listen)? })
    }

    /// What was heard until now.
    ///
    /// # Errors
    ///
    /// When the tap broke.
    pub(super) fn heard(self) -> Result<Heard, StageError> {
        self.over.store(true, Ordering::Relaxed);
        let heard = self.listener.join();
        Ok(heard.map_err(|_panicked| StageError::Unexpected("the tap broke".to_owned()))??)
    }
}

fn listen(mut socket: Socket, canary: &[u8], over: &AtomicBool) -> io::Result<Heard> {
    let (mut packet, mut heard) = (vec![0; LARGEST], Heard::default());
    loop {
        match socket.read(&mut packet) {
            Ok(length) => {
                let bytes = packet.get(..length).unwrap_or_default();
                heard.packets += 1;
                heard.sang += u64::from(bytes.windows(canary.len()).any(|part| part == canary));
            }
            // Only when the links are silent, so that nothing that was sent is missed.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if over.load(Ordering::Relaxed) {
                    return Ok(heard);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

//! The handshake, and what is left when it is over.
use super::{
    Channel,
    keys::{Keys, Secrets, Traffic},
    open::Opener,
    record::{self, HEADER, SEALED_MAX},
    seal::Sealer,
};
use crate::{
    certificate::Certificate,
    tls::{self, HandshakeError},
    verify::Side,
};
use culvert_model::identity::Identity;
use rustls::{
    CommonState, Error, ExtractedSecrets,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::ServerName,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, UnbufferedStatus},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How much of a handshake is waited for at once. Certificates are a few KB.
const INCOMING_MAX: usize = 256 << 10;

/// How much is read at a time.
const READ: u64 = 8 << 10;

/// Either end, while it shakes hands.
trait Shaking: Sized {
    type Data;

    fn common(&self) -> &CommonState;

    fn step<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn finish(self) -> Result<(ExtractedSecrets, Secrets), Error>;
}

/// What came and what goes.
#[derive(Debug, Default)]
struct Flight {
    incoming: Vec<u8>,
    /// How much of it the library has been shown. One record at a time: with the last one it would
    /// open what comes after the handshake.
    shown: usize,
    outgoing: Vec<u8>,
}

/// What is to be done next.
enum Next {
    Step,
    Send,
    Read,
    Done,
}

/// Opens TLS as the workload of `own` to a server that must be one of the `expected`.
///
/// # Errors
///
/// When it is another, or TLS fails. TLS 1.3 lets a client finish before the server has judged
/// its certificate: that it was refused shows at the first read.
pub async fn connect(
    own: &Certificate,
    expected: Arc<[Identity]>,
    mut tcp: TcpStream,
) -> Result<Channel, HandshakeError> {
    // Never sent, and the verifier does not look at it.
    let nobody = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let begun = UnbufferedClientConnection::new(own.client_config(expected), nobody);
    let mut tls = begun.map_err(HandshakeError::of_tls)?;
    let mut flight = Flight::default();
    if let Err(error) = shake(&mut tls, &mut flight, &mut tcp).await {
        // It is over either way.
        drop(tcp.try_write(&flight.outgoing));
        return Err(HandshakeError::of(error));
    }
    finish(own, tls, Side::Server, flight, tcp)
}

/// Accepts TLS as the workload of `own`.
///
/// A client that is refused is waited for up to [`LINGER`](tls::LINGER), so that it hears why.
///
/// # Errors
///
/// When the client has no certificate of our trust domain, or TLS fails.
pub async fn accept(own: &Certificate, mut tcp: TcpStream) -> Result<Channel, HandshakeError> {
    let begun = UnbufferedServerConnection::new(Arc::clone(own.server_config()));
    let mut tls = begun.map_err(HandshakeError::of_tls)?;
    let mut flight = Flight::default();
    if let Err(error) = shake(&mut tls, &mut flight, &mut tcp).await {
        drop(tcp.try_write(&flight.outgoing));
        tls::hear_out(tcp).await;
        return Err(HandshakeError::of(error));
    }
    finish(own, tls, Side::Client, flight, tcp)
}

fn finish(
    own: &Certificate,
    tls: impl Shaking,
    side: Side,
    flight: Flight,
    tcp: TcpStream,
) -> Result<Channel, HandshakeError> {
    let now = tls::now(&own.server_config().time_provider);
    let peer = tls::peer(tls.common().peer_certificates(), side, now)?;
    let (secrets, kept) = tls.finish().map_err(HandshakeError::of_tls)?;
    let ExtractedSecrets { tx: (sealed, ours), rx: (opened, theirs) } = secrets;
    let keys = Keys::new(kept);
    let halves = || {
        let opener = Opener::new(&Traffic::of(theirs)?, opened, keys.clone())?;
        let sealer = Sealer::new(&Traffic::of(ours)?, sealed, keys)?;
        Ok((opener, sealer))
    };
    let (opener, sealer) = halves().map_err(HandshakeError::of_tls)?;
    Ok(Channel { tcp, peer, opener, sealer, early: flight.incoming })
}

/// Shakes hands to the end. An error leaves what is to be said to the peer in `flight`.
async fn shake(tls: &mut impl Shaking, flight: &mut Flight, tcp: &mut TcpStream) -> io::Result<()> {
    loop {
        match flight.step(tls)? {
            Next::Step => {}
            Next::Send => {
                tcp.write_all(&flight.outgoing).await?;
                flight.outgoing.clear();
            }
            Next::Read if flight.show() => {}
            Next::Read => {
                // No more than that: what comes after the handshake is the caller's to read.
                let mut some = (&mut *tcp).take(READ);
                if some.read_buf(&mut flight.incoming).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Next::Done => return Ok(()),
        }
    }
}

impl Flight {
    fn step(&mut self, tls: &mut impl Shaking) -> io::Result<Next> {
        let Self { incoming, shown, outgoing } = self;
        let mut has_words = false;
        let UnbufferedStatus { discard, state } = tls.step(&mut incoming[..*shown]);
        let next = match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                append(outgoing, |space| data.encode(space)).map(|()| Next::Step)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Next::Send)
            }
            Ok(ConnectionState::BlockedHandshake) => Ok(Next::Read),
            Ok(ConnectionState::WriteTraffic(_)) => Ok(Next::Done),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, Error::HandshakeNotComplete)),
            Err(error) => {
                // Who has told us is not told.
                has_words = !matches!(error, Error::AlertReceived(_));
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        };
        drop(incoming.drain(..discard));
        *shown -= discard;
        if has_words {
            self.last_words(tls);
        }
        let next = next?;
        let early = matches!(next, Next::Done) && tls.common().is_handshaking();
        Ok(if early { Next::Read } else { next })
    }

    /// Collects the alert that tells the peer what was wrong; there is one at most, and it comes
    /// before anything is read again.
    fn last_words(&mut self, tls: &mut impl Shaking) {
        // It remembers where it was in what came, so that has to be there.
        let Self { incoming, shown, outgoing } = self;
        let next = tls.step(&mut incoming[..*shown]).state;
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = next {
            // Without it the peer only does not hear why.
            drop(append(outgoing, |space| data.encode(space)));
        }
    }

    /// Shows the library one more record, if it is there.
    fn show(&mut self) -> bool {
        let rest = &self.incoming[self.shown..];
        let more = match record::length(rest) {
            // No record at all, which the library says better.
            Some(length) if HEADER + SEALED_MAX < length || !record::is_one(rest) => rest.len(),
            Some(length) if length <= rest.len() => length,
            Some(_) | None if INCOMING_MAX <= self.incoming.len() => rest.len(),
            Some(_) | None => return false,
        };
        self.shown += more;
        0 < more
    }
}

/// Has something written at the end of `out`.
fn append(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> io::Result<()> {
    let begin = out.len();
    match encode(&mut []) {
        Err(EncodeError::InsufficientSize(needed)) => {
            out.resize(begin + needed.required_size, 0);
            let written = encode(&mut out[begin..]).map_err(io::Error::other)?;
            out.truncate(begin + written);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    }
}

impl Shaking for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn common(&self) -> &CommonState {
        self
    }

    fn step<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn finish(self) -> Result<(ExtractedSecrets, Secrets), Error> {
        let (secrets, kept) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Secrets::Client(kept)))
    }
}

impl Shaking for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn common(&self) -> &CommonState {
        self
    }

    fn step<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(records)
    }

    fn finish(self) -> Result<(ExtractedSecrets, Secrets), Error> {
        let (secrets, kept) = self.dangerous_into_kernel_connection()?;
        Ok((secrets, Secrets::Server(kept)))
    }
}

//! Endpoints as a mesh leads there: somebody else opens their connections.
use super::host::Host;
use crate::{dial::DialError, io::Io};
use culvert_model::{http::address::Address, party::Party, path::Path};
use culvert_runtime::doors::{Bytes, Dial, Opened};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// What was opened.
pub(super) enum Way {
    /// A member of the mesh: nothing else is to be done about it.
    Member(Io, Path),
    /// Somebody outside, in plain text so far.
    Outside(TcpStream),
}

/// Opens a connection as `party`, to the first of the addresses that answers.
pub(super) async fn open(
    dial: &dyn Dial,
    party: Option<&Party>,
    to: &[Address],
    host: &Host,
) -> Result<Way, DialError> {
    let mut why = DialError("no address".to_owned());
    for address in to {
        let at: Vec<SocketAddr> = match address {
            Address::Socket(at) => vec![*at],
            Address::Name { port, .. } => {
                let resolved = host.resolved().into_iter();
                resolved.map(|at| SocketAddr::new(at.ip(), *port)).collect()
            }
            Address::Pipe(path) => {
                why = DialError(format!("{path}: a node's engine uses no sockets of files"));
                continue;
            }
        };
        for at in at {
            match dial.dial(party, at).await {
                Ok(Opened { bytes: Bytes::Tcp(tcp), in_mesh, path }) => {
                    tcp.set_nodelay(true)?;
                    let member = |tcp: TcpStream| Way::Member(tcp.into(), path);
                    return Ok(if in_mesh { member(tcp) } else { Way::Outside(tcp) });
                }
                Ok(Opened { bytes: Bytes::Other(stream), in_mesh: _, path }) => {
                    return Ok(Way::Member(stream.into(), path));
                }
                Err(error) => why = DialError(format!("delayed connect error: {error}")),
            }
        }
    }
    Err(why)
}

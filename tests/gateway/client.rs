//! The client: HTTP/1 by hand, HTTP/2 by the h2 crate, or bytes.
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod tls;

use crate::{
    backend::Stream,
    case::{Ask, Protocol},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

/// How long a proxy may be silent before that is its answer.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// Connections that further requests may use.
pub(crate) struct Client {
    kept: BTreeMap<String, Kept>,
    ports: BTreeMap<String, u16>,
    certificates: PathBuf,
}

enum Kept {
    H1(Box<dyn Stream>, Vec<u8>),
    H2(h2::Connection),
}

impl Client {
    pub(crate) fn new(ports: BTreeMap<String, u16>, certificates: PathBuf) -> Self {
        Self { kept: BTreeMap::new(), ports, certificates }
    }

    /// What comes back.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Value {
        let kept = ask.connection.as_ref().and_then(|name| self.kept.remove(name));
        let kept = match kept {
            Some(kept) => kept,
            None => match self.connect(ask).await {
                Ok(kept) => kept,
                Err(answer) => return answer,
            },
        };
        let asked = async {
            match kept {
                Kept::H1(mut stream, mut rest) => {
                    let answer = h1::ask(&mut stream, &mut rest, ask).await;
                    (answer, Kept::H1(stream, rest))
                }
                Kept::H2(mut connection) => {
                    let answer = connection.ask(ask).await;
                    (answer, Kept::H2(connection))
                }
            }
        };
        match tokio::time::timeout(SILENCE, asked).await {
            Ok((answer, kept)) => {
                if let Some(name) = &ask.connection {
                    self.kept.insert(name.clone(), kept);
                }
                answer
            }
            Err(_) => json!({"error": "silence"}),
        }
    }

    async fn connect(&self, ask: &Ask) -> Result<Kept, Value> {
        let port = self.ports[ask.to.as_deref().unwrap_or("l")];
        let ip = ask.address.as_deref().unwrap_or("127.0.0.1");
        let to: SocketAddr = format!("{ip}:{port}").parse().unwrap();
        let socket = if to.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }.unwrap();
        if let Some(from) = &ask.from {
            socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        }
        let refused = |_| json!({"error": "refused"});
        let mut stream = socket.connect(to).await.map_err(refused)?;
        drop(stream.set_nodelay(true));
        if let Some(before) = &ask.before {
            stream.write_all(before.as_bytes()).await.map_err(refused)?;
        }
        let mut stream: Box<dyn Stream> = match &ask.tls {
            None => Box::new(stream),
            Some(tls) => {
                let connecting = tls::connect(stream, tls, &self.certificates);
                let connected = tokio::time::timeout(SILENCE, connecting).await;
                Box::new(
                    connected
                        .map_err(|_elapsed| json!({"error": "silent TLS"}))?
                        .map_err(|error| json!({"error": error}))?,
                )
            }
        };
        if let Some(said) = &ask.tcp {
            return Err(tcp(&mut stream, said, Duration::from_millis(ask.hold_ms)).await);
        }
        match ask.protocol {
            Protocol::H1 => Ok(Kept::H1(stream, Vec::new())),
            Protocol::H2 => h2::Connection::open(stream).await.map(Kept::H2),
        }
    }
}

/// Says something, and has said it after `hold`; then listens until the end.
async fn tcp(stream: &mut Box<dyn Stream>, said: &str, hold: Duration) -> Value {
    let mut all = Vec::new();
    let talk = async {
        let mut buffer = [0; 4096];
        if !said.is_empty() {
            stream.write_all(said.as_bytes()).await?;
            let until = tokio::time::Instant::now() + hold;
            while !hold.is_zero()
                && let Ok(read) = tokio::time::timeout_at(until, stream.read(&mut buffer)).await
            {
                match read? {
                    0 => return Ok("closed early"),
                    n => all.extend_from_slice(&buffer[..n]),
                }
            }
            stream.shutdown().await?;
        }
        loop {
            let n = stream.read(&mut buffer).await?;
            if n == 0 {
                return Ok::<_, std::io::Error>("closed");
            }
            all.extend_from_slice(&buffer[..n]);
            if said.is_empty() {
                // Whoever waits for a server's first word has it.
                return Ok("open");
            }
        }
    };
    let end = tokio::time::timeout(SILENCE, talk).await;
    let end = match end {
        Ok(Ok(end)) => end,
        // Whether what is left unread makes it a reset is a race.
        Ok(Err(_)) if hold.is_zero() => "closed",
        Ok(Err(_)) => "closed early",
        Err(_) => "silence",
    };
    json!({"tcp": crate::plain::text(&all), "end": end})
}

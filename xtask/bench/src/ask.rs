//! A client of HTTP/1.1 that keeps its connections: as fast as it is answered, or at a pace.
use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rustls::{
    ClientConfig, RootCertStore,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    runtime, task,
    time::{self, Instant},
};
use tokio_rustls::TlsConnector;

/// What is asked, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct Ask {
    #[arg(long)]
    to: SocketAddr,
    #[arg(long)]
    connections: u32,
    #[arg(long)]
    seconds: u64,
    /// Requests per second over all connections; as many as are answered without.
    #[arg(long)]
    rate: Option<u32>,
    #[arg(long, default_value = "bench")]
    host: String,
    #[arg(long, default_value = "/")]
    path: String,
    /// A folder with own.pem and own.key, for mutual TLS.
    #[arg(long)]
    tls: Option<PathBuf>,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    took: Vec<Duration>,
    failed: u64,
}

impl Ask {
    /// Prints how many requests were answered with 200, how many were not, and the middle and the
    /// 99th percentile of how long they took, in microseconds.
    pub(crate) fn play(&self) -> Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let connector = self.tls.as_ref().map(|_| self.connector()).transpose()?;
        let mut seen = task::LocalSet::new().block_on(&runtime, async {
            let tasks: Vec<_> = (0..self.connections)
                .map(|_| task::spawn_local(self.clone().connection(connector.clone())))
                .collect();
            let mut whole = Seen::default();
            for task in tasks {
                let Seen { took, failed } = task.await??;
                whole.took.extend(took);
                whole.failed += failed;
            }
            anyhow::Ok(whole)
        })?;
        seen.took.sort_unstable();
        let at = |percent: usize| {
            seen.took.get(seen.took.len() * percent / 100).map_or(0, Duration::as_micros)
        };
        let line = format!("{} {} {} {}", seen.took.len(), seen.failed, at(50), at(99));
        crate::role::say(&line)
    }

    async fn connection(self, tls: Option<TlsConnector>) -> Result<Seen> {
        let stream = TcpStream::connect(self.to).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = tls else { return self.requests(stream).await };
        let name = ServerName::try_from("bench")?;
        self.requests(tls.connect(name, stream).await?).await
    }

    async fn requests(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Seen> {
        let Self { path, host, connections, rate, seconds, .. } = self;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: bench\r\n\r\n");
        let end = Instant::now() + Duration::from_secs(*seconds);
        let pause = rate.map(|rate| Duration::from_secs(1) * *connections / rate);
        let mut due = Instant::now();
        let (mut seen, mut buffer) = (Seen::default(), Vec::with_capacity(16 * 1024));
        while Instant::now() < end {
            // At a pace, a request that had to wait for the one before began when it was due.
            if let Some(pause) = pause {
                due += pause;
                time::sleep_until(due).await;
            } else {
                due = Instant::now();
                task::consume_budget().await;
            }
            stream.write_all(request.as_bytes()).await?;
            if answer(&mut stream, &mut buffer).await? {
                seen.took.push(due.elapsed());
            } else {
                seen.failed += 1;
            }
        }
        Ok(seen)
    }

    fn connector(&self) -> Result<TlsConnector> {
        let folder = self.tls.as_deref().context("no folder")?;
        let chain = CertificateDer::pem_file_iter(folder.join("own.pem"))?;
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&fs::read(folder.join("own.key"))?)?;
        let mut config = ClientConfig::builder()
            .with_root_certificates(RootCertStore::empty())
            .with_client_auth_cert(chain, key)?;
        config.dangerous().set_certificate_verifier(Arc::new(Anybody));
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Reads one response to its end; whether it was a 200.
async fn answer(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<bool> {
    buffer.clear();
    let head = loop {
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended");
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = buffer.get(..head).and_then(|head| std::str::from_utf8(head).ok());
    let text = text.context("a head that is no text")?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("no content-length")?.trim().parse()?;
    let is_good = text.starts_with("http/1.1 200");
    while buffer.len() < head + length {
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended");
    }
    Ok(is_good)
}

/// The bench asks nobody it did not start itself.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

//! What is started: the server behind, and both proxies before it.
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    Programs,
    player::{LOAD_CORE, PROXY_CORE, Player, pinned, role},
    stage::await_,
};

/// An nginx that answers everything at once.
#[derive(Debug)]
pub(super) struct Backend {
    /// Cleartext HTTP/1.1.
    pub(super) plain: SocketAddr,
    /// Cleartext HTTP/2.
    pub(super) two: SocketAddr,
    /// HTTP/1.1 in mutual TLS.
    pub(super) tls: SocketAddr,
    /// As `plain`, with another answer.
    pub(super) other: SocketAddr,
    _nginx: Player,
}

/// A proxy that was started.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) at: SocketAddr,
    pub(super) player: Player,
}

/// Both, from files that differ in the port.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) culvert: Side,
    pub(super) envoy: Side,
}

impl Backend {
    /// Starts it; the certificates are in `folder` already.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let [plain, two, tls, other] = [free_port()?, free_port()?, free_port()?, free_port()?];
        let here = folder.display();
        let same = "access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type text/plain;";
        let server = |listen: String, more: &str, answer: &str| {
            format!("server {{ listen {listen}; {more} location / {{ return 200 {answer}; }} }}\n")
        };
        let long = "x".repeat(128);
        let tls_lines = format!(
            "ssl_certificate {here}/own.pem; ssl_certificate_key {here}/own.key; \
             ssl_client_certificate {here}/ca.pem; ssl_verify_client on; ssl_protocols TLSv1.3;"
        );
        let servers = server(plain.to_string(), "", &long)
            + &server(format!("{two} http2"), "", &long)
            + &server(format!("{tls} ssl"), &tls_lines, &long)
            + &server(other.to_string(), "", "other");
        let text = format!(
            "daemon off; master_process off; pid {here}/nginx.pid; error_log {here}/nginx.log;\n\
             events {{ worker_connections 20000; }}\nhttp {{ {same}\nclient_body_temp_path {here}/body; \
             proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; \
             scgi_temp_path {here}/scgi;\n{servers}}}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, text)?;
        let mut nginx = pinned(LOAD_CORE, Path::new("nginx"));
        nginx.arg("-c").arg(&file).arg("-e").arg(folder.join("nginx.log"));
        let nginx = Player::placed(nginx)?;
        for at in [plain, two, tls, other] {
            await_port(at)?;
        }
        Ok(Self { plain, two, tls, other, _nginx: nginx })
    }
}

/// A server of gRPC that answers every message with itself.
pub(super) fn grpc() -> Result<(Player, SocketAddr)> {
    let at = free_port()?;
    let mut player = Player::placed(role(&["grpc", "--at", &at.to_string()])?)?;
    player.says("ready")?;
    Ok((player, at))
}

impl Sides {
    /// Starts both from what `config` says of the address that they listen on, and waits for them.
    pub(super) fn start(
        programs: &Programs,
        folder: &Path,
        config: impl Fn(SocketAddr) -> Value,
    ) -> Result<Self> {
        let sides = Self {
            envoy: Side::envoy(programs, folder, &config)?,
            culvert: Side::culvert(programs, folder, &config)?,
        };
        for Side { name, at, .. } in [&sides.envoy, &sides.culvert] {
            await_port(*at).context(*name)?;
        }
        Ok(sides)
    }
}

impl Side {
    pub(super) fn envoy(
        programs: &Programs,
        folder: &Path,
        config: impl Fn(SocketAddr) -> Value,
    ) -> Result<Self> {
        let mut command = pinned(PROXY_CORE, programs.envoy()?);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
        Self::start("envoy", command, folder, config)
    }

    pub(super) fn culvert(
        programs: &Programs,
        folder: &Path,
        config: impl Fn(SocketAddr) -> Value,
    ) -> Result<Self> {
        let mut command = pinned(PROXY_CORE, &programs.culvert);
        command.args(["gateway", "--concurrency", "1", "--log-level", "error"]);
        Self::start("culvert", command, folder, config)
    }

    fn start(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        config: impl Fn(SocketAddr) -> Value,
    ) -> Result<Self> {
        let at = free_port()?;
        let file = folder.join(format!("{name}.json"));
        fs::write(&file, config(at).to_string())?;
        command.arg("--config-path").arg(&file);
        let player = Player::placed(command)?;
        Ok(Self { name, at, player })
    }
}

/// Waits until somebody accepts connections.
pub(super) fn await_port(at: SocketAddr) -> Result<()> {
    await_(|| TcpStream::connect(at).is_ok()).with_context(|| format!("nobody listens on {at}"))
}

/// An address of the loopback interface that nobody has.
pub(super) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

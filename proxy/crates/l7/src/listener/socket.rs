//! Sockets that connections come to.
use culvert_model::http::{
    address::{Address, SocketOption, SocketOptionValue, SocketState},
    listener::{ListenAddress, Listener},
};
use socket2::{Domain, SockRef, Socket as Raw, Type};
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener as StdTcp},
    os::linux::net::SocketAddrExt as _,
    os::unix::net::{SocketAddr as UnixAddr, UnixListener as StdUnix},
    sync::Arc,
};
use tokio::net::{TcpListener, UnixListener};

/// How many connections the kernel keeps for us, unless the listener says it.
const BACKLOG: u32 = 4096;

/// All that a socket is made of: where this is the same, the socket stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of a socket")]
pub(crate) struct Plan {
    pub(crate) address: Address,
    v4_compatible: bool,
    reuse_port: bool,
    transparent: bool,
    freebind: bool,
    backlog: u32,
    options: Arc<[SocketOption]>,
}

/// An open one.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    /// And the file to remove after it.
    Unix(UnixListener, Option<Arc<str>>),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    #[error(
        "cannot bind {0}: the address is in use; stop who has it (`ss -ltnp` shows that) or give the listener another"
    )]
    InUse(Address),
    #[error(
        "cannot bind {0}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE or a smaller net.ipv4.ip_unprivileged_port_start"
    )]
    Forbidden(Address),
    #[error("cannot bind {0}: this machine has no such address (freebind allows for that)")]
    NotOurs(Address),
    #[error("cannot listen on {address}: {error}")]
    Other { address: Address, error: io::Error },
    #[error("{address}: {what} is refused: {error}")]
    Option { address: Address, what: String, error: io::Error },
    #[error("{0} is a name: a listener needs an address")]
    Name(Address),
}

impl Plan {
    pub(crate) fn new(listener: &Listener, at: &ListenAddress) -> Self {
        Self {
            address: at.address.clone(),
            v4_compatible: at.v4_compatible,
            reuse_port: listener.reuse_port,
            transparent: listener.transparent,
            freebind: listener.freebind,
            backlog: listener.backlog.unwrap_or(BACKLOG),
            options: Arc::clone(&at.options),
        }
    }

    /// Opens the socket, which takes connections from now on.
    pub(crate) fn open(&self) -> Result<Socket, SocketError> {
        match &self.address {
            Address::Socket(address) => Ok(Socket::Tcp(self.tcp(*address)?)),
            Address::Pipe(path) => self.unix(path),
            Address::Name { .. } => Err(SocketError::Name(self.address.clone())),
        }
    }

    fn tcp(&self, at: SocketAddr) -> Result<TcpListener, SocketError> {
        let other = |error| SocketError::Other { address: self.address.clone(), error };
        let raw = Raw::new(Domain::for_address(at), Type::STREAM, None).map_err(other)?;
        raw.set_reuse_address(true).map_err(other)?;
        if at.is_ipv6() {
            raw.set_only_v6(!self.v4_compatible).map_err(other)?;
        }
        self.ask(&raw, "reuse_port", self.reuse_port, Raw::set_reuse_port)?;
        let v6 = at.is_ipv6();
        let transparent = if v6 { Raw::set_ip_transparent_v6 } else { Raw::set_ip_transparent_v4 };
        self.ask(&raw, "transparent", self.transparent, transparent)?;
        let freebind = if v6 { Raw::set_freebind_v6 } else { Raw::set_freebind_v4 };
        self.ask(&raw, "freebind", self.freebind, freebind)?;
        self.options(&raw, SocketState::Prebind)?;
        raw.bind(&at.into()).map_err(|error| self.unbound(error))?;
        self.options(&raw, SocketState::Bound)?;
        let backlog = i32::try_from(self.backlog).unwrap_or(i32::MAX);
        raw.listen(backlog).map_err(|error| self.unbound(error))?;
        self.options(&raw, SocketState::Listening)?;
        raw.set_nonblocking(true).map_err(other)?;
        TcpListener::from_std(StdTcp::from(raw)).map_err(other)
    }

    fn unix(&self, path: &Arc<str>) -> Result<Socket, SocketError> {
        let other = |error| SocketError::Other { address: self.address.clone(), error };
        let (std, file) = match path.strip_prefix('@') {
            Some(name) => {
                let address = UnixAddr::from_abstract_name(name).map_err(other)?;
                (StdUnix::bind_addr(&address), None)
            }
            None => {
                // Left behind by a process that is gone; one that somebody serves answers.
                if std::os::unix::net::UnixStream::connect(&**path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
                {
                    // If it stays, the next line tells.
                    let _gone = std::fs::remove_file(&**path);
                }
                (StdUnix::bind(&**path), Some(Arc::clone(path)))
            }
        };
        let std = std.map_err(|error| self.unbound(error))?;
        std.set_nonblocking(true).map_err(other)?;
        Ok(Socket::Unix(UnixListener::from_std(std).map_err(other)?, file))
    }

    fn ask(
        &self,
        raw: &Raw,
        what: &str,
        wanted: bool,
        set: fn(&Raw, bool) -> io::Result<()>,
    ) -> Result<(), SocketError> {
        if !wanted {
            return Ok(());
        }
        set(raw, true).map_err(|error| self.refused(what.to_owned(), error))
    }

    fn options(&self, raw: &Raw, state: SocketState) -> Result<(), SocketError> {
        for option in self.options.iter().filter(|option| option.state == state) {
            set(&SockRef::from(raw), option).map_err(|error| {
                self.refused(format!("socket option {}:{}", option.level, option.name), error)
            })?;
        }
        Ok(())
    }

    fn refused(&self, what: String, error: io::Error) -> SocketError {
        SocketError::Option { address: self.address.clone(), what, error }
    }

    fn unbound(&self, error: io::Error) -> SocketError {
        let address = self.address.clone();
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => SocketError::InUse(address),
            Some(libc::EACCES | libc::EPERM) => SocketError::Forbidden(address),
            Some(libc::EADDRNOTAVAIL) => SocketError::NotOurs(address),
            _ => SocketError::Other { address, error },
        }
    }
}

/// Those that people set; a kernel has hundreds.
fn set(socket: &Raw, option: &SocketOption) -> io::Result<()> {
    let unknown = || io::Error::new(io::ErrorKind::Unsupported, "the option is not known");
    let value = match &option.value {
        SocketOptionValue::Int(value) => *value,
        SocketOptionValue::Bytes(bytes) => {
            i32::from_ne_bytes(bytes[..].try_into().ok().ok_or_else(unknown)?)
        }
    };
    let on = value != 0;
    let size = || usize::try_from(value).map_err(io::Error::other);
    let number = || u32::try_from(value).map_err(io::Error::other);
    let seconds = || Ok::<_, io::Error>(std::time::Duration::from_secs(number()?.into()));
    match (option.level, option.name) {
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE) => socket.set_keepalive(on),
        (libc::SOL_SOCKET, libc::SO_REUSEADDR) => socket.set_reuse_address(on),
        (libc::SOL_SOCKET, libc::SO_REUSEPORT) => socket.set_reuse_port(on),
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => socket.set_recv_buffer_size(size()?),
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => socket.set_send_buffer_size(size()?),
        (libc::SOL_SOCKET, libc::SO_MARK) => socket.set_mark(number()?),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => socket.set_tcp_nodelay(on),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE) => {
            socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(seconds()?))
        }
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL) => {
            socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_interval(seconds()?))
        }
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT) => {
            socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_retries(number()?))
        }
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => {
            let wait = std::time::Duration::from_millis(number()?.into());
            socket.set_tcp_user_timeout(Some(wait))
        }
        (libc::IPPROTO_IP, libc::IP_TOS) => socket.set_tos_v4(number()?),
        (libc::IPPROTO_IP, libc::IP_TRANSPARENT) => socket.set_ip_transparent_v4(on),
        (libc::IPPROTO_IP, libc::IP_FREEBIND) => socket.set_freebind_v4(on),
        (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY) => socket.set_only_v6(on),
        _ => Err(unknown()),
    }
}

impl Socket {
    /// Where it really is: a port of 0 has become another.
    pub(crate) fn address(&self, plan: &Plan) -> Address {
        let bound = match self {
            Self::Tcp(tcp) => tcp.local_addr().ok().map(Address::Socket),
            Self::Unix(..) => None,
        };
        bound.unwrap_or_else(|| plan.address.clone())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Self::Unix(_, Some(path)) = self {
            // Somebody else may have removed it.
            let _gone = std::fs::remove_file(&**path);
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

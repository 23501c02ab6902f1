//! Whole ways of connections: what each end, the destination's policy and the log see of them.
mod l7;
mod plain;
mod refusals;
mod revoked;
mod tunnels;

use crate::{pods::sockets::here, sample::Mesh};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Has both ends say something and finish; the address the application saw.
async fn talk(client: &mut TcpStream, app: &TcpListener) -> std::net::SocketAddr {
    let (mut server, seen) = app.accept().await.unwrap();
    client.write_all(b"ask").await.unwrap();
    server.read_exact(&mut [0; 3]).await.unwrap();
    server.write_all(b"answer").await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    drop(server);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "a finish is passed on");
    client.shutdown().await.unwrap();
    here::named(seen)
}

/// Waits for the end of every connection.
async fn idle(mesh: &Mesh) {
    for pod in &mesh.pods {
        pod.load.empty().await;
    }
}

/// What the client's next read comes to.
async fn end_of(client: &mut TcpStream) -> Result<usize, std::io::ErrorKind> {
    client.read(&mut [0; 1]).await.map_err(|error| error.kind())
}

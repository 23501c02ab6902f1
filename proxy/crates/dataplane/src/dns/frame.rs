//! Messages in a stream, each after its length (RFC 1035, 4.2.2).
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reads one message.
///
/// # Errors
///
/// When the stream ends or fails before it is whole.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    rest(stream, length).await
}

/// Reads a message of which the length was read.
///
/// Takes memory as the bytes come: a length alone costs nothing.
pub(crate) async fn rest(
    stream: &mut (impl AsyncRead + Unpin),
    length: u16,
) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    stream.take(length.into()).read_to_end(&mut message).await?;
    if message.len() < usize::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(message)
}

/// Writes one message, in one segment if it can be.
///
/// # Errors
///
/// When it is longer than a message can be, or the stream fails.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(2 + message.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

//! `echo`: every byte goes back.
use super::{Record, record::Seen};
use crate::io::Io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(super) async fn serve(mut io: Io, record: &mut Record) {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let read = match io.read(&mut bytes).await {
            Ok(0) => break,
            Ok(read) => read,
            Err(_) => {
                record.seen = Seen::RemoteReset;
                return;
            }
        };
        record.received += read as u64;
        let Some(piece) = bytes.get(..read) else { return };
        if io.write_all(piece).await.is_err() || io.flush().await.is_err() {
            return;
        }
        record.sent += read as u64;
    }
    // At worst the client has left already.
    let _ended = io.shutdown().await;
}

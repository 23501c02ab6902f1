//! `direct_response`: something is said, whatever the client wants.
use super::Record;
use crate::io::Io;
use bytes::Bytes;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time,
};

/// How long the client is waited for, so that it sees the answer.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Answer(Bytes);

impl Answer {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }

    pub(super) async fn serve(&self, mut io: Io, record: &mut Record) {
        record.details = Some("direct_response");
        if io.write_all(&self.0).await.is_err() || io.shutdown().await.is_err() {
            return;
        }
        record.sent = self.0.len() as u64;
        // What it still says is taken: unread, it would make our end a reset.
        let rest = async { while let Ok(1..) = io.read(&mut [0; 1024]).await {} };
        let _waited = time::timeout(LINGER, rest).await;
    }
}

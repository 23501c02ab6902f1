//! A port of a pod, through the API server: what listens on the pod's loopback is reached from
//! afar by whoever the API server lets, and by nobody else.
use crate::{
    ask::{Refused, Resource, fault},
    client::Client,
    fault::Fault,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::Portforwarder};
use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    time,
};

/// How long the API server may take to open the way.
const OPEN: Duration = Duration::from_secs(10);

/// A connection to a port of a pod; it ends with this value.
pub struct Forward {
    stream: DuplexStream,
    /// It moves the bytes.
    mover: Portforwarder,
}

impl Client {
    /// Connects to a port of a pod.
    ///
    /// Whether somebody listens there is known a moment later, and told by the second value.
    ///
    /// # Errors
    ///
    /// When the API server opens no way there.
    pub async fn forward(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
    ) -> Result<(Forward, impl Future<Output = String> + use<>), Refused> {
        let refused = |fault| {
            let of = Resource::core("pods/portforward").within(namespace).named(pod);
            Refused { verb: "get", of, fault }
        };
        let pods = Api::<Pod>::namespaced(self.typed().clone(), namespace);
        let opened = time::timeout(OPEN, pods.portforward(pod, &[port])).await;
        let opened = opened.map_err(|_late| {
            refused(Fault::Unreachable(format!("no way was opened within {} s", OPEN.as_secs())))
        })?;
        let mut mover = opened.map_err(|error| refused(fault(&error)))?;
        let (stream, said) = (mover.take_stream(port), mover.take_error(port));
        let none = || refused(Fault::Garbled(format!("no way to port {port}")));
        let (stream, said) = (stream.ok_or_else(none)?, said.ok_or_else(none)?);
        // Where nothing is said, nothing is wrong.
        let trouble = async move {
            match said.await {
                Some(said) => said,
                None => std::future::pending().await,
            }
        };
        Ok((Forward { stream, mover }, trouble))
    }
}

impl AsyncRead for Forward {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Forward {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.mover.abort();
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").finish_non_exhaustive()
    }
}

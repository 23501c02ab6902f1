//! A proxy that only proxies: every request of `LISTEN` goes to `UPSTREAM`.
//!
//!     cargo run --release -p culvert-l7 --example proxy -- 127.0.0.1:8080 127.0.0.1:9000 [h1|h2] [h1|h2]
//!
//! For measurements of the codecs and the pool, without routes, filters and logs.
use anyhow::{Context as _, Result};
use culvert_l7::{
    body::Body,
    dial::Tcp,
    h1, h2,
    io::Io,
    message::{Request, Response},
    outcome::Exchanged,
    pool::{Breakers, Options, Pool, Speaks},
    service::Service,
};
use culvert_runtime::drain::Drain;
use http::StatusCode;
use std::{borrow::Cow, sync::Arc};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Forward(Arc<Pool>);

impl Service for Forward {
    type Record = ();

    async fn call(&self, request: Request) -> (Response, ()) {
        let Request { head, body, interim } = request;
        let response = match self.0.send(Cow::Owned(head), body, &interim).await {
            Ok((head, body)) => Response { head, body },
            Err(failed) => {
                Response::new(StatusCode::SERVICE_UNAVAILABLE, Body::full(failed.reset.to_string()))
            }
        };
        (response, ())
    }

    fn ended(&self, (): (), _: Exchanged) {}
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, rest @ ..] = &args[..] else { anyhow::bail!("LISTEN UPSTREAM") };
    let speaks = |at: usize| rest.get(at).is_some_and(|version| version == "h2");
    let (down_h2, up_h2) = (speaks(0), speaks(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let drain = Drain::default();
        let options = Options {
            protocol: if up_h2 { Speaks::Http2 } else { Speaks::Http1 },
            ..Options::default()
        };
        let dial = Arc::new(Tcp { to: upstream.parse().context("UPSTREAM")?, from: None });
        let pool = Arc::new(Pool::new(dial, options, Breakers::default(), drain.worker()));
        let listener = TcpListener::bind(listen).await?;
        let (one, two) = (Arc::new(h1::Options::default()), Arc::new(h2::Options::default()));
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            let (service, worker) = (Arc::new(Forward(Arc::clone(&pool))), drain.worker());
            let (one, two) = (Arc::clone(&one), Arc::clone(&two));
            drain.worker().spawn(async move {
                if down_h2 {
                    h2::serve(Io::from(tcp), service, &two, &worker).await;
                } else {
                    h1::serve(Io::from(tcp), &*service, &one, &worker).await;
                }
            });
        }
    })
}

//! A service of the second application: it says its name, and what those said that it asked.
use super::client;
use crate::cli::output;
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::{
    future, io,
    net::Ipv6Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::net::TcpListener;

/// Whose request it is; services tell it each other.
pub(super) const USER: &str = "end-user";

/// What a service answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::demo) struct Page {
    pub(in crate::demo) name: String,
    /// Requests that it has had.
    pub(in crate::demo) heard: u64,
    pub(in crate::demo) parts: Vec<Part>,
}

/// What another one answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::demo) struct Part {
    pub(in crate::demo) of: String,
    /// Zero: nothing.
    pub(in crate::demo) status: u16,
    pub(in crate::demo) page: Option<Page>,
}

#[derive(Debug)]
struct Service {
    name: String,
    /// Whom it asks.
    next: Vec<String>,
    heard: AtomicU64,
}

/// Serves until killed; says so on standard output once it listens.
///
/// It answers `/alone` without asking anybody, of `/sometimes` every third request, and `/never`.
pub(super) async fn serve(name: String, port: u16, next: Vec<String>) -> io::Result<()> {
    let service = Arc::new(Service { name, next, heard: AtomicU64::default() });
    let app = Router::new().fallback(answer).with_state(service);
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await?;
    output::print("listening");
    axum::serve(listener, app).await
}

async fn answer(State(service): State<Arc<Service>>, uri: Uri, headers: HeaderMap) -> Response {
    // The first one is zero.
    let before = match uri.path() {
        "/heard" => service.heard.load(Ordering::Relaxed),
        _ => service.heard.fetch_add(1, Ordering::Relaxed),
    };
    let parts = match uri.path() {
        "/sometimes" if before % 3 != 2 => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        "/never" => future::pending().await,
        "/" => ask(&service.next, &headers).await,
        _ => Vec::new(),
    };
    Json(Page { name: service.name.clone(), heard: before, parts }).into_response()
}

async fn ask(next: &[String], headers: &HeaderMap) -> Vec<Part> {
    let user = headers.get(USER).and_then(|user| user.to_str().ok());
    let mut parts = Vec::new();
    for of in next {
        let question = client::Question { method: Method::GET, path: "/", user };
        let (status, page) = match client::ask(of, &question).await {
            Ok((status, page)) => (status.as_u16(), page),
            Err(_nothing) => (0, None),
        };
        parts.push(Part { of: of.clone(), status, page });
    }
    parts
}

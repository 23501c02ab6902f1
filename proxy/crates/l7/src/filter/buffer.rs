//! `envoy.filters.http.buffer`: whole requests only.
use super::Place;
use crate::{
    body::{Body, BodyError, Frame, Pull},
    manager::{
        answer::{Local, Refused},
        record::Record,
    },
};
use bytes::Bytes;
use culvert_model::http::filter::OverrideConfig;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::task::{Context, Poll};

/// The filter of a chain.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) max: u32,
}

/// A whole body, and its trailers.
struct Whole(Option<Bytes>, Option<HeaderMap>);

impl Buffer {
    pub(super) async fn request(
        &self,
        place: Place<'_>,
        record: &mut Record,
        body: &mut Body,
    ) -> Result<(), Refused> {
        let max = match place.config(record) {
            Some(OverrideConfig::Buffer(None)) => return Ok(()),
            Some(OverrideConfig::Buffer(Some(max))) => *max,
            _ => self.max,
        };
        if body.is_empty() || record.head.is_tunnel() {
            return Ok(());
        }
        let limit = usize::try_from(max).unwrap_or(usize::MAX);
        match std::mem::take(body).collect(limit).await {
            Ok((whole, trailers)) => {
                record.times.received = Some(record.elapsed());
                let length = HeaderValue::from(whole.len());
                record.head.headers.insert(header::CONTENT_LENGTH, length);
                *body = match trailers {
                    None => Body::full(whole),
                    Some(trailers) => {
                        let data = (!whole.is_empty()).then_some(whole);
                        Body::boxed(Whole(data, Some(trailers)))
                    }
                };
                Ok(())
            }
            Err(BodyError::TooLarge { .. }) => Err(Local::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Payload Too Large",
                "request_payload_too_large",
            )
            .close()
            .boxed()),
            // Whoever sent it has gone, or sends what is no HTTP.
            Err(_) => {
                let local = Local::new(StatusCode::BAD_REQUEST, "Bad Request", "http1.codec_error");
                Err(local.close().boxed())
            }
        }
    }
}

impl Pull for Whole {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let data = self.0.take().map(Frame::Data);
        let next = data.or_else(|| self.1.take().map(Frame::Trailers));
        Poll::Ready(next.map(Ok))
    }
}

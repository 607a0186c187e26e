//! Bodies that nobody reads to their end. Where their length was declared the connection closes with the answer. Those in
//! chunks the parser would go on taking after the answer, for as many as the client likes to send; as long as somebody
//! holds what is left, the connection closes there too. But what has come along with the head is let in first: most
//! refusals need not know the body, and a new connection costs whoever asks again, and the server, more than the refusal.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpMessage,
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    http::header,
    web::Bytes,
};
use futures_util::Stream;

/// Longest it takes from dropping a body to the answer that follows.
const ANSWERING: Duration = Duration::from_secs(1);

/// Holds a chunked body until it was read or the request was answered.
pub(super) fn hold(req: &mut ServiceRequest) {
    if req.headers().contains_key(header::TRANSFER_ENCODING) {
        let held = Held(Some(req.take_payload()));
        req.set_payload(Payload::Stream { payload: Box::pin(held) });
    }
}

/// Gives the parser, which is at the head when it calls, the time to take what it has of the body.
pub(super) async fn let_in(req: &ServiceRequest) {
    let headers = req.headers();
    if headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING) {
        tokio::task::yield_now().await;
    }
}

/// A body, or nothing when it came to its end.
struct Held(Option<Payload>);

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(payload) = &mut self.0 else { return Poll::Ready(None) };
        let next = Pin::new(payload).poll_next(cx);
        if matches!(next, Poll::Ready(None)) {
            self.0 = None;
        }
        next
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(rest) = self.0.take() else { return };
        actix_web::rt::spawn(async move {
            tokio::time::sleep(ANSWERING).await;
            drop(rest);
        });
    }
}

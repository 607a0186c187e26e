//! An id for every request, in the answer's header, in the body of every error, and in the log.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use uuid::Uuid;

use crate::http::error::{Asked, with_asked};

/// A new id.
#[must_use]
pub fn new() -> Uuid {
    Uuid::now_v7()
}

/// Runs a future with what is asked in place at every poll, so that an error made anywhere within can name it.
pub async fn scope<F: Future>(asked: Asked, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx: &mut Context<'_>| -> Poll<F::Output> {
        with_asked(asked, || Pin::as_mut(&mut future).poll(cx))
    })
    .await
}

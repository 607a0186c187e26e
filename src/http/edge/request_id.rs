//! An id for every request, in the answer's header, in the body of every error, and in the log.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
};

use uuid::Uuid;

use crate::http::error::{Asked, with_asked};

/// A new id.
#[must_use]
pub fn new() -> Uuid {
    Uuid::now_v7()
}

/// Runs a future with what is asked in place at every poll, so that an error made anywhere within can name it.
pub fn scope<F: Future>(asked: Asked, mut future: Pin<&mut F>) -> impl Future<Output = F::Output> {
    // pinned by whoever calls: a future that is handed on is copied, and room is left for it twice
    poll_fn(move |cx| with_asked(asked, || future.as_mut().poll(cx)))
}

//! Answers in JSON that are written here rather than by the framework: those that are kept as bytes, and long ones,
//! whose room is made at once instead of being doubled on the way.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use serde::Serialize;

use crate::domain::Refusal;

/// What one row of a list takes, in bytes: seldom more.
const ROW: usize = 800;

/// JSON as it is sent.
///
/// # Errors
/// [`Refusal::Internal`] for what cannot be written as JSON.
pub fn bytes(body: &impl Serialize) -> Result<Bytes, Refusal> {
    Ok(serde_json::to_vec(body).map_err(|_| Refusal::Internal)?.into())
}

/// [`bytes()`] of a list of so many rows.
///
/// # Errors
/// As there.
pub fn list(rows: usize, body: &impl Serialize) -> Result<Bytes, Refusal> {
    let mut json = Vec::with_capacity((rows + 1) * ROW);
    serde_json::to_writer(&mut json, body).map_err(|_| Refusal::Internal)?;
    Ok(json.into())
}

/// An answer of bytes that are JSON.
pub fn json_of(status: StatusCode, json: impl Into<Bytes>) -> HttpResponse {
    let kind = HeaderValue::from_static("application/json");
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, kind)).body(json.into())
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;

    use super::*;

    #[test]
    fn what_is_written_here_looks_like_what_the_framework_writes() {
        let body = serde_json::json!({ "data": ["ä", 1, null] });
        let (theirs, json) = (HttpResponse::Ok().json(&body), bytes(&body).unwrap());
        assert_eq!(list(0, &body).unwrap(), json);
        let ours = json_of(StatusCode::OK, json);
        assert_eq!(ours.status(), theirs.status());
        assert!(ours.headers().iter().eq(theirs.headers()));
        let of = |answer: HttpResponse| answer.into_body().try_into_bytes().unwrap();
        assert_eq!(of(ours), of(theirs));
    }
}

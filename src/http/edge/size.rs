//! How long a target and how large the headers of a request may be. The parser has limits of its own, further
//! out; what passes it and not these gets an answer that says so.

use actix_web::dev::ServiceRequest;

use crate::domain::Refusal;

/// Longest request target in bytes.
const TARGET: usize = 8 * 1024;
/// Most header fields.
const FIELDS: usize = 64;
/// All header fields together in bytes, with what separates them.
const HEADERS: usize = 16 * 1024;

/// Refuses a request whose head is larger than anything a client of ours sends.
///
/// # Errors
/// [`Refusal::UriTooLong`], [`Refusal::HeadersTooLarge`].
pub(super) fn check(req: &ServiceRequest) -> Result<(), Refusal> {
    let uri = req.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target + uri.authority().map_or(0, |authority| authority.as_str().len()) > TARGET {
        return Err(Refusal::UriTooLong { limit: TARGET });
    }
    let headers = req.headers();
    let size = || headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>();
    if headers.len() > FIELDS || size() > HEADERS {
        return Err(Refusal::HeadersTooLarge { fields: FIELDS, bytes: HEADERS });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_head_at_the_limit_passes_and_one_beyond_it_does_not() {
        let with_target = |length: usize| {
            check(&TestRequest::with_uri(&format!("/{}", "x".repeat(length - 1))).to_srv_request())
        };
        assert_eq!(with_target(TARGET), Ok(()));
        assert_eq!(with_target(TARGET + 1), Err(Refusal::UriTooLong { limit: TARGET }));

        let too_large = Err(Refusal::HeadersTooLarge { fields: FIELDS, bytes: HEADERS });
        let with_fields = |fields: usize| {
            let mut req = TestRequest::with_uri("/");
            for number in 0..fields {
                req = req.append_header((format!("x-{number}"), "1"));
            }
            check(&req.to_srv_request())
        };
        assert_eq!((with_fields(FIELDS), with_fields(FIELDS + 1)), (Ok(()), too_large.clone()));

        let with_bytes = |bytes: usize| {
            check(&TestRequest::with_uri("/").insert_header(("x-a", "v".repeat(bytes - 7))).to_srv_request())
        };
        assert_eq!((with_bytes(HEADERS), with_bytes(HEADERS + 1)), (Ok(()), too_large));
    }
}

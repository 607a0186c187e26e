//! The one place that draws random bytes, from the operating system.

use crate::domain::Refusal;

/// `N` random bytes.
///
/// # Errors
/// [`Refusal::Internal`] if the operating system has none to give.
pub fn bytes<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut out = [0; N];
    #[expect(clippy::disallowed_methods, reason = "this is the source")]
    getrandom::fill(&mut out).map_err(|_| Refusal::Internal)?;
    Ok(out)
}

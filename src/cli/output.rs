//! Writing data to standard output: lines, tables for people, JSON for programs. A reader that went away (`| head`)
//! is no failure. Cells lose control characters, so that a name cannot talk to the terminal.

use std::io::{ErrorKind, Write};

use entity::Millis;
use serde::Serialize;
use serde_json::json;

use super::failure::Failure;
use crate::domain::clock::rfc3339;

/// Writes one line.
///
/// # Errors
/// When standard output cannot be written.
pub fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Writes text as it is.
///
/// # Errors
/// As [`line`].
pub fn write(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Other(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes one value as indented JSON.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::other(error.to_string()))?;
    line(&text)
}

/// Writes rows for programs: `{"data":[…],"total":n}`.
///
/// # Errors
/// As [`line`].
pub fn json_list<T: Serialize>(rows: &[T]) -> Result<(), Failure> {
    json(&json!({ "data": rows, "total": rows.len() }))
}

/// Writes rows for people; without rows nothing but a remark on standard error.
///
/// # Errors
/// As [`line`].
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]], none: &str) -> Result<(), Failure> {
    if rows.is_empty() {
        eprintln!("{none}");
        return Ok(());
    }
    write(&render(header, rows))
}

fn render<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned))
        .chain(rows.iter().map(|row| row.clone().map(cell)))
        .collect();
    let mut widths = [0_usize; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// What may stand in a line of a terminal; nothing shows as a dash.
#[must_use]
pub fn cell(text: String) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A time for people and programs alike, `-` or `null` if there is none.
#[must_use]
pub fn time(at: Option<Millis>) -> Option<String> {
    at.map(rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_spaces() {
        let rows = [["acme".to_owned(), String::new()], ["a".to_owned(), "long one".to_owned()]];
        assert_eq!(render(["SLUG", "NAME"], &rows), "SLUG  NAME\nacme  -\na     long one\n");
    }

    #[test]
    fn a_cell_cannot_talk_to_the_terminal() {
        assert_eq!(cell("a\u{1b}[2Jb\nc".to_owned()), "a\u{fffd}[2Jb\u{fffd}c");
    }
}

//! The words of pages: whole sentences with named gaps, which language to speak, dates and how long is left.
//! Names that fill a gap are other people's text: they are escaped, set apart so that their direction does not
//! reach the sentence around them, and cannot open a gap of their own.

use chrono::{DateTime, Datelike, Timelike, Utc};
use entity::{Millis, Role};

use super::languages::{ENGLISH, FRENCH, GERMAN, SPANISH};
use crate::domain::Scope;

/// Longest name shown, in characters.
const LONGEST_NAME: usize = 64;

/// The sentences of one language. Gaps: `{inviter}`, `{tenant}`, `{workspace}`, `{place}` (the workspace, else
/// the tenant), `{address}`, `{n}`.
#[derive(Debug)]
pub(super) struct Words {
    /// Primary language tag, also the `lang` of the page.
    pub tag: &'static str,
    pub months: [&'static str; 12],
    /// Gaps `{day}`, `{month}`, `{year}`, `{time}`.
    pub date: &'static str,
    /// One and many days, hours, minutes.
    pub left: [[&'static str; 2]; 3],
    pub left_moment: &'static str,
    /// viewer, member, admin, owner
    pub roles: [&'static str; 4],
    /// What each may do in a workspace, in the same order.
    pub may_in_workspace: [&'static str; 4],
    /// What each may do in an organisation.
    pub may_in_tenant: [&'static str; 4],
    pub title: &'static str,
    pub heading: &'static str,
    pub lead_tenant: &'static str,
    pub lead_workspace: &'static str,
    pub lead_tenant_unnamed: &'static str,
    pub lead_workspace_unnamed: &'static str,
    pub label_address: &'static str,
    pub label_role: &'static str,
    pub label_until: &'static str,
    pub label_expired: &'static str,
    pub sign_in: &'static str,
    pub sign_in_as: &'static str,
    pub how_to_accept: &'static str,
    pub unexpected: &'static str,
    pub questions: &'static str,
    pub expired: Said,
    pub expired_unnamed: &'static str,
    pub accepted: Said,
    pub open: &'static str,
    pub unknown: Said,
    pub too_often: Said,
    pub unavailable: Said,
    pub failed: Said,
    pub refused: Said,
    pub nowhere: Said,
    pub home: Said,
    pub reference: &'static str,
}

/// A heading and what follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub heading: &'static str,
    pub lead: &'static str,
}

impl Words {
    /// The words of the first of these language tags that is spoken here; English if none is.
    pub fn of<'a>(tags: impl IntoIterator<Item = &'a str>) -> &'static Self {
        let spoken = |tag: &str| {
            let primary = tag.split(['-', '_']).next().unwrap_or_default();
            [&ENGLISH, &GERMAN, &FRENCH, &SPANISH]
                .into_iter()
                .find(|words| words.tag.eq_ignore_ascii_case(primary))
        };
        tags.into_iter().find_map(spoken).unwrap_or(&ENGLISH)
    }

    /// What a role is called and what it may do.
    pub fn role(&self, role: Role, scope: Scope) -> (&'static str, &'static str) {
        let may = match scope {
            Scope::Workspace(_) => self.may_in_workspace,
            Scope::Org => self.may_in_tenant,
        };
        let of = |[viewer, member, admin, owner]: [&'static str; 4]| match role {
            Role::Viewer => viewer,
            Role::Member => member,
            Role::Admin => admin,
            Role::Owner => owner,
        };
        (of(self.roles), of(may))
    }

    /// A time in UTC, cut to the minute.
    pub fn date(&self, at: Millis) -> String {
        let at = DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
        let month = usize::try_from(at.month0()).ok().and_then(|month| self.months.get(month));
        let (day, year) = (at.day().to_string(), at.year().to_string());
        let time = format!("{:02}:{:02}", at.hour(), at.minute());
        let gaps = [
            ("day", day.as_str()),
            ("month", month.copied().unwrap_or_default()),
            ("year", &year),
            ("time", &time),
        ];
        fill(self.date, &gaps, str::to_owned)
    }

    /// How long is left, in the largest unit, cut and never rounded up.
    pub fn left(&self, until: Millis, now: Millis) -> String {
        let minutes = (until.0 - now.0) / 60_000;
        let units = [minutes / (24 * 60), minutes / 60, minutes];
        for (count, [one, many]) in units.into_iter().zip(self.left) {
            if count > 0 {
                let sentence = if count == 1 { one } else { many };
                return fill(sentence, &[("n", &count.to_string())], str::to_owned);
            }
        }
        self.left_moment.to_owned()
    }
}

/// The languages that a browser asks for, best first.
pub(super) fn languages(accept: &str) -> impl Iterator<Item = &str> {
    let mut asked: Vec<(&str, f32)> = accept
        .split(',')
        .take(32)
        .filter_map(|entry| {
            let (tag, rest) = entry.split_once(';').unwrap_or((entry, ""));
            let quality = rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok())?;
            (quality > 0.0).then_some((tag.trim(), quality))
        })
        .collect();
    asked.sort_by(|one, other| other.1.total_cmp(&one.1));
    asked.into_iter().map(|(tag, _)| tag)
}

/// Other people's text on one line: without characters that control or turn text around, cut to a length.
pub(super) fn shown(name: &str) -> String {
    let mut clean = name.chars().filter(|c| !turns_text(*c));
    let mut short: String = clean.by_ref().take(LONGEST_NAME).collect();
    if clean.next().is_some() {
        short.truncate(short.trim_end().len());
        short.push('…');
    }
    short.trim().to_owned()
}

fn turns_text(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A sentence as HTML, each gap escaped and set apart.
pub(super) fn html(sentence: &str, gaps: &[(&str, &str)]) -> String {
    let name = |value: &str| format!("<bdi>{}</bdi>", escaped(value));
    fill(sentence, gaps, name)
}

/// A sentence as plain text.
pub(super) fn text(sentence: &str, gaps: &[(&str, &str)]) -> String {
    fill(sentence, gaps, str::to_owned)
}

/// The sentence with its gaps filled in one pass; an unknown gap stays as it is.
fn fill(sentence: &str, gaps: &[(&str, &str)], show: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(sentence.len() + 32);
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}') else { break };
        out.push_str(before);
        match gaps.iter().find(|(gap, _)| *gap == name) {
            Some((_, value)) => out.push_str(&show(value)),
            None => out.extend(["{", name, "}"]),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Text as HTML, in elements and quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn the_first_language_that_is_spoken_here_is_taken() {
        for (tags, tag) in [
            (vec!["de-AT"], "de"),
            (vec!["ja", "fr-CA", "de"], "fr"),
            (vec!["es_MX"], "es"),
            (vec!["en-GB", "de"], "en"),
            (vec!["ja"], "en"),
            (vec![], "en"),
        ] {
            assert_eq!(Words::of(tags.clone()).tag, tag, "{tags:?}");
        }
        let accept = "ja, de;q=0.3, fr-CH;q=0.9, es;q=0, *;q=nonsense";
        assert_eq!(languages(accept).collect::<Vec<_>>(), ["ja", "fr-CH", "de"]);
    }

    #[test]
    fn what_is_left_is_cut_and_never_rounded_up() {
        for (left, said) in [
            (7 * 24 * HOUR - 1, "6 days left"),
            (24 * HOUR, "1 day left"),
            (24 * HOUR - 1, "23 hours left"),
            (HOUR, "1 hour left"),
            (119_999, "1 minute left"),
            (59_999, "less than a minute left"),
            (-5, "less than a minute left"),
        ] {
            assert_eq!(ENGLISH.left(Millis(left), Millis(0)), said, "{left}");
        }
    }

    #[test]
    fn dates_are_written_out_in_utc() {
        let at = Millis(1_767_323_045_999);
        assert_eq!(ENGLISH.date(at), "2 January 2026, 03:04 UTC");
        assert_eq!(GERMAN.date(at), "2. Januar 2026, 03:04 UTC");
        for words in [&ENGLISH, &GERMAN, &FRENCH, &SPANISH] {
            assert!(!words.date(at).contains('{'), "{}", words.date(at));
        }
    }

    #[test]
    fn names_are_escaped_set_apart_and_cannot_open_a_gap() {
        let gaps = [("inviter", "{tenant}</h2><a href=https://evil>"), ("tenant", "Acme")];
        assert_eq!(
            html("{inviter} invites you to {tenant}", &gaps),
            "<bdi>{tenant}&lt;/h2&gt;&lt;a href=https://evil&gt;</bdi> invites you to <bdi>Acme</bdi>"
        );
        assert_eq!(html("a { b", &[]), "a { b");
    }

    #[test]
    fn names_lose_what_turns_text_around_and_keep_their_script() {
        assert_eq!(shown("a\u{202e}b\r\nc\u{200b}\u{2066}"), "abc");
        for fine in ["קליניקה", "عيادة", "می\u{200c}خواهم", "👩\u{200d}⚕\u{fe0f}"] {
            assert_eq!(shown(fine), fine);
        }
        assert_eq!(shown(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
    }
}

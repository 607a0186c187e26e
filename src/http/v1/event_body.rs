//! Events on the wire: the history of one invite, and the feed of a tenant.

use entity::event;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::clock::rfc3339,
    invites::history::{History, Line},
    tenants::feed::Events,
};

/// One thing that happened to an invite.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LineBody {
    /// When.
    pub at: String,
    /// What: `invite.created`, `mail.sent`, `invite.accepted`, ….
    pub event: String,
    /// Who did it: a user id, `key:<id>`, `operator` or `system`.
    pub actor: String,
    /// Further facts; never an address or a link.
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
}

impl LineBody {
    /// A line of a history.
    #[must_use]
    pub fn of(line: &Line) -> Self {
        Self {
            at: rfc3339(line.at),
            event: line.kind.clone(),
            actor: line.actor.clone(),
            data: data(line.data.as_deref()),
        }
    }
}

fn data(text: Option<&str>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// What happened to an invite.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryBody {
    /// The oldest first; an expiry that nobody caused is the last.
    pub data: Vec<LineBody>,
    /// How many there are.
    pub total: usize,
}

impl HistoryBody {
    /// A history.
    #[must_use]
    pub fn of(history: &History) -> Self {
        Self { data: history.lines.iter().map(LineBody::of).collect(), total: history.lines.len() }
    }
}

/// The same under a name.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvitationEvents {
    /// The oldest first; an expiry that nobody caused is the last.
    pub events: Vec<LineBody>,
    /// How many there are.
    pub total: usize,
}

impl From<HistoryBody> for InvitationEvents {
    fn from(history: HistoryBody) -> Self {
        Self { events: history.data, total: history.total }
    }
}

/// One thing that happened in a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBody {
    /// Its number in the tenant: one more than that of the event before.
    pub seq: i64,
    /// What: `invite.accepted`, `member.removed`, ….
    pub event: String,
    /// When.
    pub at: String,
    /// Who did it: a user id, `key:<id>`, `operator` or `system`.
    pub actor: String,
    /// Invite it is about.
    pub invite_id: Option<Uuid>,
    /// Workspace it is about.
    pub workspace_id: Option<Uuid>,
    /// Further facts; never an address or a link.
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
}

impl From<&event::Model> for EventBody {
    fn from(row: &event::Model) -> Self {
        Self {
            seq: row.seq,
            event: row.kind.clone(),
            at: rfc3339(row.at),
            actor: row.actor.clone(),
            invite_id: row.invite_id.map(|id| id.0),
            workspace_id: row.workspace_id.map(|id| id.0),
            data: data(row.data.as_deref()),
        }
    }
}

/// What happened in a tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedBody {
    /// In order, without gaps.
    pub data: Vec<EventBody>,
    /// What to send as `after` next.
    pub next_after: i64,
    /// Whether there are more already.
    pub has_more: bool,
}

impl FeedBody {
    /// What followed this number.
    #[must_use]
    pub fn of(after: i64, found: &Events) -> Self {
        let data: Vec<EventBody> = found.events.iter().map(EventBody::from).collect();
        let next_after = data.last().map_or(after, |last| last.seq);
        Self { data, next_after, has_more: found.more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::Millis;
    use serde_json::json;

    #[test]
    fn a_line_of_history_has_its_facts_as_json_and_not_as_text() {
        let line = Line {
            at: Millis(0),
            kind: "invite.created".into(),
            actor: "operator".into(),
            data: Some(r#"{"role":"member"}"#.into()),
        };
        assert_eq!(
            serde_json::to_value(LineBody::of(&line)).unwrap(),
            json!({ "at": "1970-01-01T00:00:00Z", "event": "invite.created", "actor": "operator", "data": { "role": "member" } })
        );
    }
}

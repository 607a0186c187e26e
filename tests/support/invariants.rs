//! What must hold in the rows after anything at all: run by every suite that races, kills, breaks or wanders.
//! Each is a count that must be zero, in SQL that both engines read.

use super::{database::Inspector, server::Engine};

impl Inspector {
    /// Fails unless everything that must always hold does.
    pub async fn assert_sound(&self) {
        self.assert_none(ALWAYS).await;
        if self.engine == Engine::Sqlite {
            assert_eq!(self.texts("SELECT integrity_check AS t FROM pragma_integrity_check").await, ["ok"]);
        }
    }

    /// Fails unless, nobody having been removed, every acceptance has its memberships.
    pub async fn assert_nobody_missing(&self) {
        self.assert_none(WHILE_NOBODY_LEAVES).await;
    }

    /// Fails unless every change of an invite has the one event and the mails it owes. Holds as long as a test
    /// writes no rows of its own.
    pub async fn assert_told(&self) {
        self.assert_none(EACH_CHANGE_IS_TOLD).await;
    }

    /// Fails if any column of any table holds what could be a link or a bearer token.
    pub async fn assert_no_token(&self) {
        let dump = self.dump().await;
        for (at, _) in dump.match_indices("eyJ") {
            let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let head: String = dump[at..].chars().take_while(part).collect();
            let token = head.len() >= 20 && dump[at + head.len()..].starts_with('.');
            assert!(!token, "a token in the database: {head}");
        }
    }

    async fn assert_none(&self, table: &[(&str, &str)]) {
        for (what, sql) in table {
            assert_eq!(self.count(sql).await, 0, "{what}");
        }
    }
}

/// What may never be.
const ALWAYS: &[(&str, &str)] = &[
    (
        "a membership made by an invite that was not accepted",
        "SELECT count(*) AS n FROM tenant_members m JOIN invites i ON i.id = m.invite_id \
         WHERE i.status <> 'accepted'",
    ),
    (
        "a workspace membership made by an invite that was not accepted",
        "SELECT count(*) AS n FROM workspace_members m JOIN invites i ON i.id = m.invite_id \
         WHERE i.status <> 'accepted'",
    ),
    (
        "a workspace member who is no tenant member",
        "SELECT count(*) AS n FROM workspace_members w WHERE NOT EXISTS (SELECT 1 FROM tenant_members m \
         WHERE m.tenant_id = w.tenant_id AND m.user_id = w.user_id)",
    ),
    (
        "a tenant with members and without an owner",
        "SELECT count(*) AS n FROM tenants t WHERE EXISTS (SELECT 1 FROM tenant_members m WHERE \
         m.tenant_id = t.id) AND NOT EXISTS (SELECT 1 FROM tenant_members m WHERE m.tenant_id = t.id \
         AND m.role = 'owner')",
    ),
    (
        "a seat count that is not the number of members",
        "SELECT count(*) AS n FROM tenants t WHERE t.seats_used <> \
         (SELECT count(*) FROM tenant_members m WHERE m.tenant_id = t.id)",
    ),
    (
        "two pending invites of one scope and address",
        "SELECT count(*) AS n FROM (SELECT 1 FROM invites WHERE status = 'pending' \
         GROUP BY tenant_id, workspace_id, email_norm HAVING count(*) > 1) AS twice",
    ),
    (
        "a gap in the numbers of a tenant's events",
        "SELECT count(*) AS n FROM tenants t WHERE t.event_seq <> \
         (SELECT count(*) FROM events e WHERE e.tenant_id = t.id) OR t.event_seq <> \
         (SELECT coalesce(max(e.seq), 0) FROM events e WHERE e.tenant_id = t.id)",
    ),
    (
        "an invite accepted at or after its end of life",
        "SELECT count(*) AS n FROM invites WHERE accepted_at >= expires_at",
    ),
    (
        "a mail queued for an invite that had ended",
        "SELECT count(*) AS n FROM outbox o JOIN invites i ON i.id = o.invite_id WHERE o.inserted_at > \
         coalesce(i.revoked_at, i.accepted_at, i.declined_at, i.expired_at, o.inserted_at)",
    ),
    (
        "a mail of another tenant than its invite's",
        "SELECT count(*) AS n FROM outbox o JOIN invites i ON i.id = o.invite_id \
         WHERE o.tenant_id <> i.tenant_id OR o.version > i.version",
    ),
];

/// What may not be as long as nobody is removed.
const WHILE_NOBODY_LEAVES: &[(&str, &str)] = &[
    (
        "an accepted invite without its membership",
        "SELECT count(*) AS n FROM invites i WHERE i.status = 'accepted' AND NOT EXISTS \
         (SELECT 1 FROM tenant_members m WHERE m.tenant_id = i.tenant_id AND m.user_id = i.accepted_by)",
    ),
    (
        "an accepted workspace invite without its workspace membership",
        "SELECT count(*) AS n FROM invites i WHERE i.status = 'accepted' AND i.workspace_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM workspace_members m \
                         WHERE m.workspace_id = i.workspace_id AND m.user_id = i.accepted_by)",
    ),
];

/// What may not be as long as every row comes from usher and none has been pruned.
const EACH_CHANGE_IS_TOLD: &[(&str, &str)] = &[
    (
        "an invite whose making was not told once",
        "SELECT count(*) AS n FROM invites i WHERE 1 <> (SELECT count(*) FROM events e \
         WHERE e.invite_id = i.id AND e.kind = 'invite.created')",
    ),
    (
        "an end that was not told once, or another end that was",
        "SELECT count(*) AS n FROM invites i WHERE \
         (SELECT count(*) FROM events e WHERE e.invite_id = i.id AND e.kind IN \
          ('invite.accepted', 'invite.declined', 'invite.revoked')) \
         <> CASE WHEN i.status IN ('accepted', 'declined', 'revoked') THEN 1 ELSE 0 END \
         OR (i.status IN ('accepted', 'declined', 'revoked') AND NOT EXISTS (SELECT 1 FROM events e \
             WHERE e.invite_id = i.id AND e.kind = 'invite.' || i.status))",
    ),
    (
        "an invite without one of the mails it counts",
        "SELECT count(*) AS n FROM invites i WHERE i.mails <> \
         (SELECT count(*) FROM outbox o WHERE o.invite_id = i.id)",
    ),
    (
        "a mail that has left and was not told once",
        "SELECT count(*) AS n FROM invites i WHERE \
         (SELECT count(*) FROM outbox o WHERE o.invite_id = i.id AND o.state = 'sent') <> \
         (SELECT count(*) FROM events e WHERE e.invite_id = i.id AND e.kind = 'mail.sent')",
    ),
];

//! Rows that tests start from; each changes what it is about.

use entity::{Delivery, InviteId, InviteStatus, Millis, Role, TenantId, invite};

/// A pending invite into the tenant that nobody has sent and of which no mail is owed, good for a minute.
pub(crate) fn pending_invite(tenant: TenantId, email: &str, now: Millis) -> invite::Model {
    invite::Model {
        id: InviteId::new(),
        tenant_id: tenant,
        workspace_id: None,
        email: email.to_owned(),
        email_norm: email.to_owned(),
        role: Role::Member,
        status: InviteStatus::Pending,
        version: 1,
        salt: vec![7; 32],
        kid: "k1".into(),
        link_host: None,
        inviter: None,
        inviter_key: None,
        message: None,
        note: None,
        locale: None,
        delivery: Delivery::None,
        delivery_detail: None,
        mails: 0,
        mailed_at: None,
        expires_at: now.plus(60_000),
        accepted_by: None,
        accepted_at: None,
        declined_at: None,
        revoked_by: None,
        revoked_at: None,
        expired_at: None,
        inserted_at: now,
        updated_at: now,
    }
}

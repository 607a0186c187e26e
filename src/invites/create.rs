//! Creating an invite, or adding somebody who is a member of the tenant already: decided in one call, in one
//! transaction. Safe to repeat without a key: a live pending invite for the same scope and address is the
//! answer to the repetition, with role and expiry refreshed and at most one mail per cooldown.

use entity::{
    Delivery, InviteId, InviteStatus, Millis, Role, UserId, invite, tenant_member, workspace_member,
};
use serde_json::json;

use super::{
    Invites, limits,
    limits::Counters,
    resend::save,
    rules::{Life, cooldown_left, owe_mail, renew_link, set_inviter, take_over_if_needed},
};
use crate::{
    actors::{Ahead, Command, Decision, Planned, Work},
    domain::{EmailAddress, MasterKeys, Refusal, Scope, Standing, random},
    identity::{Authority, Call},
    store::{self, StoreError, events::NewEvent, members::Origin},
    tenancy::links,
};

/// An invite asked for.
#[derive(Clone, Debug)]
pub struct NewInvite {
    /// Where to.
    pub scope: Scope,
    /// Whom.
    pub email: EmailAddress,
    /// As what.
    pub role: Role,
    /// For how long.
    pub life: Life,
    /// Whether a mail is owed.
    pub send_email: bool,
    /// Language of mail and page.
    pub locale: Option<String>,
    /// Personal message.
    pub message: Option<String>,
}

/// What became of it.
#[derive(Clone)]
pub enum Created {
    /// There is a pending invite now, and this is its link.
    Invited(Box<invite::Model>, String),
    /// They belong to the tenant already and are in the workspace now (or were before).
    Added(Box<workspace_member::Model>),
}

/// Creates an invite or adds a member.
///
/// # Errors
/// See the table of [`super`].
pub fn create(
    invites: &Invites,
    by: impl Into<Authority>,
    new: NewInvite,
) -> Planned<'_, impl Command<Output = Created>> {
    let by = by.into();
    invites.lanes.plan(async move {
        by.require_scope("invites:write")?;
        let tenant = by.tenant().clone();
        let link_host = links::link_host_for(&tenant, by.site_host());
        let command = CreateInvite {
            counters: Counters::of(&by, new.email.norm()),
            invites: invites.clone(),
            keys: invites.keys()?,
            link_host: link_host.map(|host| host.to_string()),
            by,
            new,
        };
        Ok((tenant.id, command))
    })
}

struct CreateInvite {
    invites: Invites,
    by: Authority,
    new: NewInvite,
    keys: MasterKeys,
    link_host: Option<String>,
    counters: Counters,
}

impl Command for CreateInvite {
    type Output = Created;

    fn told_to(&self) -> Option<&Call> {
        self.by.call()
    }

    fn ahead(&self) -> Option<Ahead> {
        let sender = self.by.by_membership().cloned();
        Some(Ahead::Invite(self.new.scope, self.new.email.norm().to_owned(), sender))
    }

    async fn decide(&self, work: &mut Work<'_>) -> Decision<Created> {
        let (tenant, new) = (self.by.tenant(), &self.new);
        if let Scope::Workspace(id) = new.scope
            && !work.has_workspace(id).await?
        {
            return Err(Refusal::NotFound.into());
        }
        let standing = match self.by.by_membership() {
            Some(user) => work.standing(user, new.scope.workspace()).await?,
            None => self.by.standing(work.conn(), new.scope.workspace()).await?,
        };
        standing.require_send(new.role, new.scope, &tenant.invites.permissions)?;
        limits::require_allowed(tenant, &new.email)?;
        let now = work.now().await?;
        let expires_at = new.life.end(&tenant.invites, now)?;

        if work.is_free(new.scope, new.email.norm()) {
            self.counters.require_room(work, now).await?;
            let row = self.owed(work, expires_at, now).await?;
            work.add_invite(row.clone());
            return self.invited(row);
        }
        work.settle().await?;
        match (self.holder(work).await?, new.scope) {
            (Some(_), Scope::Org) => return Err(Refusal::AlreadyMember.into()),
            (Some(member), Scope::Workspace(id)) if self.by.is_sharing() => {
                let theirs =
                    store::members::standing(work.conn(), tenant.id, &member.user_id, Some(id)).await?;
                if theirs.effective(new.scope).is_some() {
                    return Err(Refusal::AlreadyMember.into());
                }
            }
            (Some(member), Scope::Workspace(_)) => return self.add(work, member, now).await,
            (None, _) => {}
        }
        match store::invites::pending_for(work.conn(), tenant.id, new.scope, new.email.norm()).await? {
            Some(row) if now < row.expires_at => self.refresh(work, standing, row, expires_at, now).await,
            Some(expired) => {
                self.counters.require_room(work, now).await?;
                store::invites::close_expired(work.conn(), tenant.id, expired.id, now).await?;
                store::outbox::cancel_for_invite(work.conn(), tenant.id, expired.id, None).await?;
                self.forget(work, expired.id);
                self.told(work, "invite.superseded", &expired, json!({}));
                self.insert(work, expires_at, now).await
            }
            None => {
                self.counters.require_room(work, now).await?;
                self.insert(work, expires_at, now).await
            }
        }
    }
}

impl CreateInvite {
    /// The member of the tenant who holds the address, whoever got it within the batch first.
    async fn holder(&self, work: &Work<'_>) -> Result<Option<tenant_member::Model>, StoreError> {
        let (conn, tenant, norm) = (work.conn(), self.by.tenant().id, self.new.email.norm());
        let snapshot = self.invites.registry.current();
        let own = |user: &UserId| !snapshot.settings.is_foreign(user, tenant);
        for user in work.holders_in_batch(norm).filter(|user| own(user)) {
            if let Some(member) = store::members::tenant_member(conn, tenant, user).await? {
                return Ok(Some(member));
            }
        }
        let known = store::members::with_email(conn, tenant, norm).await?;
        Ok(known.into_iter().find(|member| own(&member.user_id)))
    }

    /// A new row, written at once: others that this command changes may have to make way first.
    async fn insert(&self, work: &mut Work<'_>, expires_at: Millis, now: Millis) -> Decision<Created> {
        let row = self.owed(work, expires_at, now).await?;
        store::invites::insert(work.conn(), vec![row.clone()]).await?;
        self.invited(row)
    }

    /// A new row, counted and told of, and the mail it owes.
    async fn owed(&self, work: &mut Work<'_>, expires_at: Millis, now: Millis) -> Decision<invite::Model> {
        let mut row = invite::Model {
            id: InviteId::new(),
            tenant_id: self.by.tenant().id,
            workspace_id: self.new.scope.workspace(),
            email: self.new.email.as_str().to_owned(),
            email_norm: self.new.email.norm().to_owned(),
            role: self.new.role,
            status: InviteStatus::Pending,
            version: 1,
            salt: random::bytes::<32>()?.to_vec(),
            kid: self.keys.active().id().to_owned(),
            link_host: self.link_host.clone(),
            inviter: None,
            inviter_key: None,
            message: self.new.message.clone(),
            note: None,
            locale: self.new.locale.clone(),
            delivery: Delivery::None,
            delivery_detail: None,
            mails: 0,
            mailed_at: None,
            expires_at,
            accepted_by: None,
            accepted_at: None,
            declined_at: None,
            revoked_by: None,
            revoked_at: None,
            expired_at: None,
            inserted_at: now,
            updated_at: now,
        };
        set_inviter(&mut row, &self.by);
        if self.new.send_email {
            owe_mail(work, &mut row, now);
            self.wake(work);
        }
        self.counters.count(work, now).await?;
        self.told(work, "invite.created", &row, json!({ "role": row.role, "mail": self.new.send_email }));
        Ok(row)
    }

    /// The same invite again: role and expiry refreshed, under the caller's ceiling; a mail unless one was sent
    /// within the cooldown.
    async fn refresh(
        &self,
        work: &mut Work<'_>,
        standing: Standing,
        mut row: invite::Model,
        expires_at: Millis,
        now: Millis,
    ) -> Decision<Created> {
        if standing.ceiling(self.new.scope) < Some(row.role) {
            return Err(Refusal::Forbidden("the pending invitation has a role above your own").into());
        }
        let rules = &self.by.tenant().invites;
        // a link whose master key is gone is renewed, and the mail that carried it with it
        let renew = self.keys.get(&row.kid).is_none();
        let mails = self.new.send_email && (renew || cooldown_left(&row, rules, now) == 0);
        if renew {
            renew_link(&mut row, &self.keys)?;
        }
        if mails {
            self.counters.require_room(work, now).await?;
            store::outbox::cancel_for_invite(work.conn(), row.tenant_id, row.id, None).await?;
        }
        row.role = self.new.role;
        row.expires_at = expires_at;
        row.updated_at = now;
        row.locale = self.new.locale.clone().or(row.locale);
        row.message = self.new.message.clone().or(row.message);
        take_over_if_needed(work, &self.by, &mut row).await?;
        if mails {
            owe_mail(work, &mut row, now);
            self.counters.count(work, now).await?;
            self.wake(work);
        }
        save(work, &self.invites, &row).await?;
        self.told(work, "invite.reissued", &row, json!({ "role": row.role, "mail": mails }));
        self.invited(row)
    }

    /// Somebody of the tenant joins the workspace directly. An existing membership is left as it is.
    async fn add(
        &self,
        work: &mut Work<'_>,
        member: entity::tenant_member::Model,
        now: Millis,
    ) -> Decision<Created> {
        let (tenant, conn) = (self.by.tenant().id, work.conn());
        let Scope::Workspace(workspace) = self.new.scope else { return Err(Refusal::AlreadyMember.into()) };
        if let Some(there) =
            store::members::workspace_member(conn, tenant, workspace, &member.user_id).await?
        {
            return Ok(Created::Added(Box::new(there)));
        }
        let added_by = self.by.user_id();
        let origin = Origin { added_by, invite: None, at: now };
        store::members::join_workspace(conn, tenant, workspace, &member.user_id, self.new.role, origin)
            .await?;
        let pending =
            store::invites::pending_for(conn, tenant, self.new.scope, self.new.email.norm()).await?;
        if let Some(pending) = pending {
            store::invites::revoke(conn, tenant, pending.id, added_by, now).await?;
            store::outbox::cancel_for_invite(conn, tenant, pending.id, None).await?;
            self.forget(work, pending.id);
            self.told(work, "invite.revoked", &pending, json!({ "because": "added" }));
        }
        work.event(NewEvent {
            kind: "member.added",
            invite_id: None,
            workspace_id: Some(workspace),
            actor: self.by.actor(),
            data: Some(json!({ "user_id": member.user_id, "role": self.new.role })),
        });
        Ok(Created::Added(Box::new(workspace_member::Model {
            workspace_id: workspace,
            user_id: member.user_id,
            tenant_id: tenant,
            role: self.new.role,
            added_by: added_by.cloned(),
            invite_id: None,
            inserted_at: now,
            updated_at: now,
        })))
    }

    /// The row and its link, which can be derived: the row's key is the active one, or was live a moment ago.
    fn invited(&self, row: invite::Model) -> Decision<Created> {
        let url = self.invites.url_by(&self.keys, self.by.tenant(), &row)?;
        Ok(Created::Invited(Box::new(row), url))
    }

    fn told(&self, work: &mut Work<'_>, kind: &'static str, row: &invite::Model, data: serde_json::Value) {
        if let Some(seen) = self.by.sighting() {
            work.person(seen.clone());
        }
        work.event(NewEvent {
            kind,
            invite_id: Some(row.id),
            workspace_id: row.workspace_id,
            actor: self.by.actor(),
            data: Some(data),
        });
    }

    fn forget(&self, work: &mut Work<'_>, id: InviteId) {
        let previews = self.invites.previews.clone();
        work.after_commit(move || previews.invalidate(id));
    }

    fn wake(&self, work: &mut Work<'_>) {
        let wake = self.invites.wake_mailer.clone();
        work.after_commit(move || wake());
    }
}

//! Invites, the mails they owe, and the events of a tenant. The partial unique indexes allow one pending
//! invite per scope and address; the CHECKs tie each end state to its time.

use sea_orm_migration::{prelude::*, schema::*};

use crate::one_of;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_table(
            Table::create()
                .table("invites")
                .col(uuid("id").primary_key())
                .col(uuid("tenant_id"))
                .col(uuid_null("workspace_id"))
                .col(text("email"))
                .col(text("email_norm"))
                .col(text("role"))
                .col(text("status"))
                .col(integer("version"))
                .col(binary("salt"))
                .col(text("kid"))
                .col(text_null("link_host"))
                .col(text_null("inviter"))
                .col(uuid_null("inviter_key"))
                .col(text_null("message"))
                .col(text_null("note"))
                .col(text_null("locale"))
                .col(text("delivery"))
                .col(text_null("delivery_detail"))
                .col(integer("mails"))
                .col(big_integer_null("mailed_at"))
                .col(big_integer("expires_at"))
                .col(text_null("accepted_by"))
                .col(big_integer_null("accepted_at"))
                .col(big_integer_null("declined_at"))
                .col(text_null("revoked_by"))
                .col(big_integer_null("revoked_at"))
                .col(big_integer_null("expired_at"))
                .col(big_integer("inserted_at"))
                .col(big_integer("updated_at"))
                .check((
                    "invites_status",
                    one_of("status", &["pending", "accepted", "declined", "revoked", "expired"]),
                ))
                .check((
                    "invites_delivery",
                    one_of(
                        "delivery",
                        &["none", "queued", "retrying", "sent", "bounced", "failed", "cancelled"],
                    ),
                ))
                .check((
                    "invites_role",
                    Expr::cust(
                        "role IN ('owner', 'admin', 'member') OR (role = 'viewer' AND workspace_id IS NOT NULL)",
                    ),
                ))
                .check(("invites_accepted", Expr::cust("(status = 'accepted') = (accepted_at IS NOT NULL)")))
                .check((
                    "invites_accepted_by",
                    Expr::cust("(accepted_at IS NULL) = (accepted_by IS NULL)"),
                ))
                .check((
                    "invites_accepted_in_time",
                    Expr::cust("accepted_at IS NULL OR accepted_at < expires_at"),
                ))
                .check(("invites_declined", Expr::cust("(status = 'declined') = (declined_at IS NOT NULL)")))
                .check(("invites_revoked", Expr::cust("(status = 'revoked') = (revoked_at IS NOT NULL)")))
                .check(("invites_expired", Expr::cust("(status = 'expired') = (expired_at IS NOT NULL)")))
                .check(("invites_one_inviter", Expr::cust("inviter IS NULL OR inviter_key IS NULL")))
                .check(("invites_version", Expr::col("version").gte(1)))
                .check(("invites_email_norm", crate::no_capitals(m)))
                .foreign_key(
                    ForeignKey::create()
                        .name("invites_tenant")
                        .from("invites", "tenant_id")
                        .to("tenants", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .foreign_key(
                    ForeignKey::create()
                        .name("invites_workspace")
                        .from("invites", ("workspace_id", "tenant_id"))
                        .to("workspaces", ("id", "tenant_id"))
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("invites_one_pending_org")
                .table("invites")
                .col("tenant_id")
                .col("email_norm")
                .unique()
                .and_where(Expr::col("status").eq("pending"))
                .and_where(Expr::col("workspace_id").is_null())
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("invites_one_pending_workspace")
                .table("invites")
                .col("workspace_id")
                .col("email_norm")
                .unique()
                .and_where(Expr::col("status").eq("pending"))
                .and_where(Expr::col("workspace_id").is_not_null())
                .take(),
        )
        .await?;
        // whose pending invites a removal or demotion takes along
        m.create_index(
            Index::create()
                .name("invites_pending_inviter")
                .table("invites")
                .col("tenant_id")
                .col("inviter")
                .and_where(Expr::col("status").eq("pending"))
                .take(),
        )
        .await?;
        // the inbox
        m.create_index(
            Index::create()
                .name("invites_pending_address")
                .table("invites")
                .col("email_norm")
                .and_where(Expr::col("status").eq("pending"))
                .take(),
        )
        .await?;
        m.create_table(
            Table::create()
                .table("outbox")
                .col(uuid("id").primary_key())
                .col(uuid("tenant_id"))
                .col(uuid("invite_id"))
                .col(integer("version"))
                .col(text("dedupe_key").unique_key())
                .col(text("state"))
                .col(integer("attempts"))
                .col(big_integer("next_at"))
                .col(big_integer_null("lease_until"))
                .col(uuid_null("lease_token"))
                .col(text_null("last_error"))
                .col(big_integer("inserted_at"))
                .col(big_integer_null("sent_at"))
                .check(("outbox_state", one_of("state", &["queued", "leased", "sent", "dead", "cancelled"])))
                .check(("outbox_leased", Expr::cust("(state = 'leased') = (lease_token IS NOT NULL)")))
                .check(("outbox_sent", Expr::cust("(state = 'sent') = (sent_at IS NOT NULL)")))
                .foreign_key(
                    ForeignKey::create()
                        .name("outbox_invite")
                        .from("outbox", "invite_id")
                        .to("invites", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await?;
        // claiming walks tenant by tenant, so that a long queue of one never hides another's mail
        m.create_index(
            Index::create()
                .name("outbox_queued")
                .table("outbox")
                .col("tenant_id")
                .col("next_at")
                .and_where(Expr::col("state").eq("queued"))
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("outbox_leased_until")
                .table("outbox")
                .col("lease_until")
                .and_where(Expr::col("state").eq("leased"))
                .take(),
        )
        .await?;
        m.create_index(Index::create().name("outbox_by_invite").table("outbox").col("invite_id").take())
            .await?;
        m.create_table(
            Table::create()
                .table("events")
                .col(uuid("tenant_id"))
                .col(big_integer("seq"))
                .col(text("kind"))
                .col(uuid_null("invite_id"))
                .col(uuid_null("workspace_id"))
                .col(text("actor"))
                .col(text_null("data"))
                .col(big_integer("at"))
                .primary_key(Index::create().col("tenant_id").col("seq"))
                .foreign_key(
                    ForeignKey::create()
                        .name("events_tenant")
                        .from("events", "tenant_id")
                        .to("tenants", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("events_invite")
                .table("events")
                .col("invite_id")
                .and_where(Expr::col("invite_id").is_not_null())
                .take(),
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for table in ["events", "outbox", "invites"] {
            m.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

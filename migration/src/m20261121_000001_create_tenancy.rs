//! Tenants, users, workspaces and the two kinds of membership. The composite foreign keys make a membership
//! across tenants, or in a workspace without its tenant, unrepresentable.

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
                .table("tenants")
                .col(uuid("id").primary_key())
                .col(text("slug").unique_key())
                .col(text("name"))
                .col(big_integer("seats_used").default(0))
                .col(big_integer("event_seq").default(0))
                .col(big_integer("inserted_at"))
                .col(big_integer("updated_at"))
                .check(("tenants_seats", Expr::col("seats_used").gte(0)))
                .take(),
        )
        .await?;
        m.create_table(
            Table::create()
                .table("users")
                .col(text("id").primary_key())
                .col(text("issuer"))
                .col(text("subject"))
                .col(text_null("email"))
                .col(text_null("email_norm"))
                .col(text_null("name"))
                .col(big_integer("inserted_at"))
                .col(big_integer("updated_at"))
                .check(("users_email", Expr::cust("(email IS NULL) = (email_norm IS NULL)")))
                .check(("users_email_norm", crate::no_capitals(m)))
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("users_issuer_subject")
                .table("users")
                .col("issuer")
                .col("subject")
                .unique()
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("users_email_norm_id")
                .table("users")
                .col("email_norm")
                .and_where(Expr::col("email_norm").is_not_null())
                .take(),
        )
        .await?;
        m.create_table(
            Table::create()
                .table("tenant_members")
                .col(uuid("tenant_id"))
                .col(text("user_id"))
                .col(text("role"))
                .col(text_null("added_by"))
                .col(uuid_null("invite_id"))
                .col(big_integer("inserted_at"))
                .col(big_integer("updated_at"))
                .primary_key(Index::create().col("tenant_id").col("user_id"))
                .check(("tenant_members_role", one_of("role", &["owner", "admin", "member"])))
                .foreign_key(
                    ForeignKey::create()
                        .name("tenant_members_tenant")
                        .from("tenant_members", "tenant_id")
                        .to("tenants", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await?;
        m.create_index(
            Index::create().name("tenant_members_user").table("tenant_members").col("user_id").take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("tenant_members_owners")
                .table("tenant_members")
                .col("tenant_id")
                .col("inserted_at")
                .and_where(Expr::col("role").eq("owner"))
                .take(),
        )
        .await?;
        m.create_table(
            Table::create()
                .table("workspaces")
                .col(uuid("id").primary_key())
                .col(uuid("tenant_id"))
                .col(text("name"))
                .col(text_null("slug"))
                .col(text_null("description"))
                .col(text_null("metadata"))
                .col(text_null("external_workspace_id"))
                .col(text_null("external_user_id"))
                .col(boolean("configured"))
                .col(text_null("created_by"))
                .col(big_integer("inserted_at"))
                .col(big_integer("updated_at"))
                .foreign_key(
                    ForeignKey::create()
                        .name("workspaces_tenant")
                        .from("workspaces", "tenant_id")
                        .to("tenants", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                // target of the composite foreign keys
                .index(Index::create().name("workspaces_id_tenant").col("id").col("tenant_id").unique())
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("workspaces_tenant_name")
                .table("workspaces")
                .col("tenant_id")
                .col("name")
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("workspaces_external")
                .table("workspaces")
                .col("tenant_id")
                .col("external_workspace_id")
                .unique()
                .and_where(Expr::col("external_workspace_id").is_not_null())
                .take(),
        )
        .await?;
        m.create_table(
            Table::create()
                .table("workspace_members")
                .col(uuid("workspace_id"))
                .col(text("user_id"))
                .col(uuid("tenant_id"))
                .col(text("role"))
                .col(text_null("added_by"))
                .col(uuid_null("invite_id"))
                .col(big_integer("inserted_at"))
                .col(big_integer("updated_at"))
                .primary_key(Index::create().col("workspace_id").col("user_id"))
                .check(("workspace_members_role", one_of("role", &["owner", "admin", "member", "viewer"])))
                .foreign_key(
                    ForeignKey::create()
                        .name("workspace_members_workspace")
                        .from("workspace_members", ("workspace_id", "tenant_id"))
                        .to("workspaces", ("id", "tenant_id"))
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .foreign_key(
                    ForeignKey::create()
                        .name("workspace_members_member")
                        .from("workspace_members", ("tenant_id", "user_id"))
                        .to("tenant_members", ("tenant_id", "user_id"))
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("workspace_members_user")
                .table("workspace_members")
                .col("tenant_id")
                .col("user_id")
                .take(),
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for table in ["workspace_members", "workspaces", "tenant_members", "users", "tenants"] {
            m.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

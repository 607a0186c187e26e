//! API keys, owners granted once, stored answers of Idempotency-Key, and counters of rate limits.

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
                .table("api_keys")
                .col(uuid("id").primary_key())
                .col(uuid_null("tenant_id"))
                .col(uuid_null("confined_to"))
                .col(text_null("user_id"))
                .col(text_null("role"))
                .col(text_null("issuer"))
                .col(text_null("email"))
                .col(text_null("email_norm"))
                .col(text("email_state"))
                .col(text("name"))
                .col(text("prefix"))
                .col(binary("hash").unique_key())
                .col(text("scopes"))
                .col(big_integer_null("expires_at"))
                .col(big_integer_null("last_used_at"))
                .col(big_integer_null("revoked_at"))
                .col(text_null("created_by"))
                .col(big_integer("inserted_at"))
                .check((
                    "api_keys_email_state",
                    one_of("email_state", &["verified", "unverified", "absent"]),
                ))
                .check(("api_keys_email", Expr::cust("(email IS NULL) = (email_norm IS NULL)")))
                // a service key has a role and a tenant and no person; any other key is a person's
                .check((
                    "api_keys_kind",
                    Expr::cust(
                        "(user_id IS NOT NULL AND role IS NULL) OR \
                         (user_id IS NULL AND role IN ('owner', 'admin', 'member') AND tenant_id IS NOT NULL)",
                    ),
                ))
                .foreign_key(
                    ForeignKey::create()
                        .name("api_keys_tenant")
                        .from("api_keys", "tenant_id")
                        .to("tenants", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await?;
        m.create_index(
            Index::create().name("api_keys_user").table("api_keys").col("user_id").col("tenant_id").take(),
        )
        .await?;
        m.create_index(Index::create().name("api_keys_by_tenant").table("api_keys").col("tenant_id").take())
            .await?;
        m.create_table(
            Table::create()
                .table("owners_granted")
                .col(uuid("tenant_id"))
                .col(text("email_norm"))
                .col(text("user_id"))
                .col(big_integer("granted_at"))
                .primary_key(Index::create().col("tenant_id").col("email_norm"))
                .foreign_key(
                    ForeignKey::create()
                        .name("owners_granted_tenant")
                        .from("owners_granted", "tenant_id")
                        .to("tenants", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await?;
        m.create_table(
            Table::create()
                .table("idempotency_records")
                .col(binary("id").primary_key())
                .col(uuid_null("tenant_id"))
                .col(binary("request_hash"))
                .col(integer("status"))
                .col(binary("salt"))
                .col(text("kid"))
                .col(binary("sealed"))
                .col(big_integer("inserted_at"))
                .col(big_integer("expires_at"))
                .take(),
        )
        .await?;
        m.create_index(
            Index::create()
                .name("idempotency_records_expiry")
                .table("idempotency_records")
                .col("expires_at")
                .take(),
        )
        .await?;
        m.create_table(
            Table::create()
                .table("limit_counters")
                .col(uuid("tenant_id"))
                .col(text("kind"))
                .col(text("subject"))
                .col(big_integer("window_start"))
                .col(big_integer("used"))
                .primary_key(Index::create().col("tenant_id").col("kind").col("subject").col("window_start"))
                .foreign_key(
                    ForeignKey::create()
                        .name("limit_counters_tenant")
                        .from("limit_counters", "tenant_id")
                        .to("tenants", "id")
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .take(),
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for table in ["limit_counters", "idempotency_records", "owners_granted", "api_keys"] {
            m.drop_table(Table::drop().table(table).take()).await?;
        }
        Ok(())
    }
}

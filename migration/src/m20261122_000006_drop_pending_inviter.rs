//! Drops an index that another one serves as well: pending invites of an inviter are found by `invites_by_inviter`, and
//! each index less is written once less for every invite.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const NAME: &str = "invites_pending_inviter";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.drop_index(Index::drop().name(NAME).table("invites").to_owned()).await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_index(
            Index::create()
                .name(NAME)
                .table("invites")
                .col("tenant_id")
                .col("inviter")
                .and_where(Expr::col("status").eq("pending"))
                .take(),
        )
        .await
    }
}

//! The index by which invites that ended long ago are found. Pending ones are not in it, so making an invite costs
//! nothing more; those that ran out are found by `invites_by_end`.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.create_index(
            Index::create()
                .name("invites_ended")
                .table("invites")
                .col("tenant_id")
                .col("updated_at")
                .and_where(Expr::cust("status <> 'pending'"))
                .take(),
        )
        .await
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        m.drop_index(Index::drop().name("invites_ended").table("invites").to_owned()).await
    }
}

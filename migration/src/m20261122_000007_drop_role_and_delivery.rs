//! Drops the indexes by role and by delivery. `invites_by_status` holds both columns, so a list that is narrowed by them
//! looks at its entries, which costs no more than counting the list without the filter does; and each index less is
//! written once less for every invite, and twice less for every answer to one.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Name and the column it was for.
const INDEXES: [(&str, &str); 2] = [("invites_by_role", "role"), ("invites_by_delivery", "delivery")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in INDEXES {
            m.drop_index(Index::drop().name(name).table("invites").to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (name, by) in INDEXES {
            let mut index = Index::create();
            index.name(name).table("invites");
            for column in ["tenant_id", "status", by, "inserted_at", "id", "expires_at"] {
                index.col(column);
            }
            m.create_index(index).await?;
        }
        Ok(())
    }
}

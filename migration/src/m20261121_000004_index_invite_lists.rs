//! The indexes that lists of invites walk. Each begins with what a list is narrowed by and goes on in the order
//! that it is shown in, so that a page costs its rows and not the tenant's. Those by status and workspace
//! also hold the columns of the coarse filters, which are then looked at without the rows.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Name and columns.
const INDEXES: [(&str, &[&str]); 7] = [
    ("invites_by_status", &["tenant_id", "status", "inserted_at", "id", "expires_at", "role", "delivery"]),
    (
        "invites_by_workspace",
        &["tenant_id", "workspace_id", "status", "inserted_at", "id", "expires_at", "role", "delivery"],
    ),
    ("invites_by_role", &["tenant_id", "status", "role", "inserted_at", "id", "expires_at"]),
    ("invites_by_delivery", &["tenant_id", "status", "delivery", "inserted_at", "id", "expires_at"]),
    ("invites_by_inviter", &["tenant_id", "inviter", "status", "inserted_at", "id", "expires_at"]),
    ("invites_by_address", &["tenant_id", "status", "email_norm", "id"]),
    ("invites_by_end", &["tenant_id", "status", "expires_at", "id"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (name, columns) in INDEXES {
            let mut index = Index::create();
            index.name(name).table("invites");
            for column in columns {
                index.col(*column);
            }
            m.create_index(index.take()).await?;
        }
        Ok(())
    }

    async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in INDEXES {
            m.drop_index(Index::drop().name(name).table("invites").to_owned()).await?;
        }
        Ok(())
    }
}

//! The schema, up and down, identical in meaning on SQLite and PostgreSQL. Names are plain text, so that an
//! old migration never changes meaning with the entities. Each runs in a transaction; the caller holds the
//! lock that makes several processes starting at once migrate once (see `store::migrate`).

use sea_orm_migration::{prelude::*, sea_orm};

mod m20261121_000001_create_tenancy;
mod m20261121_000002_create_invites;
mod m20261121_000003_create_credentials;
mod m20261121_000004_index_invite_lists;
mod m20261121_000005_index_ended_invites;
mod m20261122_000006_drop_pending_inviter;
mod m20261122_000007_drop_role_and_delivery;

/// All migrations, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_create_tenancy::Migration),
            Box::new(m20261121_000002_create_invites::Migration),
            Box::new(m20261121_000003_create_credentials::Migration),
            Box::new(m20261121_000004_index_invite_lists::Migration),
            Box::new(m20261121_000005_index_ended_invites::Migration),
            Box::new(m20261122_000006_drop_pending_inviter::Migration),
            Box::new(m20261122_000007_drop_role_and_delivery::Migration),
        ]
    }
}

pub use sea_orm_migration::{MigrationStatus, MigratorTrait, SchemaManagerConnection};

/// CHECK that a column holds one of these words.
fn one_of(column: &'static str, words: &[&'static str]) -> SimpleExpr {
    Expr::col(column).is_in(words.iter().copied())
}

/// CHECK that an address holds no ASCII capital. The engines' own `lower()` fold more than ASCII or depend on
/// a locale, and each spells a character class its own way.
fn no_capitals(m: &SchemaManager<'_>) -> SimpleExpr {
    match m.get_database_backend() {
        sea_orm::DbBackend::Sqlite => Expr::cust("email_norm NOT GLOB '*[A-Z]*'"),
        _ => Expr::cust("email_norm COLLATE \"C\" !~ '[A-Z]'"),
    }
}

//! Users: subjects of trusted issuers, seen at least once.

use sea_orm::entity::prelude::*;
use serde::Deserialize;

use crate::{Millis, UserId};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Wire id: subject prefix and subject.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// Issuer string of the credential that first showed this user.
    pub issuer: String,
    /// Subject at that issuer.
    pub subject: String,
    /// Address as written by its credential; only ever a verified or proven one.
    pub email: Option<String>,
    /// The address as compared.
    pub email_norm: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// First sight.
    pub inserted_at: Millis,
    /// Last change of address or name.
    pub updated_at: Millis,
}

/// No relations: every query is tenant-scoped and explicit.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

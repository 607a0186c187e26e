//! A row of SQLite as a model, read as it comes: each field by its own type, in the order of the columns, without a value
//! of the ORM in between, which would be made, named and matched once more for every cell.

use std::fmt::Display;

use rusqlite::{Row, types::ValueRef};
use sea_orm::{DbErr, EntityTrait, IdenStatic, Iterable};
use serde::{
    Deserialize,
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, SeqAccess, Visitor,
        value::{BorrowedStrDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

/// A table whose rows are read as they come.
pub trait Table: EntityTrait<Model: DeserializeOwned> {}

impl<E: EntityTrait<Model: DeserializeOwned>> Table for E {}

/// Whether these are the columns of a table, each once and in their order, as its models have them.
pub(super) fn are_all_of<E: Table>(columns: &[&str]) -> bool {
    E::Column::iter().map(|column| column.as_str()).eq(columns.iter().copied())
}

/// Reads a model whose fields are the columns of this row, in their order.
pub(super) fn model<'de, M: Deserialize<'de>>(row: &'de Row<'_>) -> Result<M, DbErr> {
    M::deserialize(Cells { row, at: 0 }).map_err(|Unfit(why)| DbErr::Type(why))
}

/// Why a row is no such model.
#[derive(Debug)]
struct Unfit(String);

impl Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: Display>(why: T) -> Self {
        Self(why.to_string())
    }

    // what is in the row is nobody's to read
    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self(format!("a value that is no {expected}"))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self(format!("a value that is no {expected}"))
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self("a text that is none of those known".to_owned())
    }
}

/// A row, from this cell on.
struct Cells<'de, 'stmt> {
    row: &'de Row<'stmt>,
    at: usize,
}

impl<'de> Deserializer<'de> for Cells<'de, '_> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> SeqAccess<'de> for Cells<'de, '_> {
    type Error = Unfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unfit> {
        let cell = self.row.get_ref(self.at).map_err(de::Error::custom)?;
        self.at += 1;
        seed.deserialize(Cell(cell)).map(Some)
    }
}

/// One value.
struct Cell<'de>(ValueRef<'de>);

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            ValueRef::Null => visitor.visit_none(),
            ValueRef::Integer(number) => visitor.visit_i64(number),
            ValueRef::Real(number) => visitor.visit_f64(number),
            ValueRef::Text(_) => visitor.visit_borrowed_str(self.text()?),
            ValueRef::Blob(bytes) => visitor.visit_borrowed_bytes(bytes),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            ValueRef::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// SQLite holds flags as numbers.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            ValueRef::Integer(number) => visitor.visit_bool(number != 0),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        let variant: BorrowedStrDeserializer<'de, Unfit> = BorrowedStrDeserializer::new(self.text()?);
        visitor.visit_enum(variant)
    }

    /// Bytes, one by one.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match self.0 {
            ValueRef::Blob(bytes) => {
                let bytes = SeqDeserializer::new(bytes.iter().copied());
                visitor.visit_seq(bytes)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// Ids are sixteen bytes, not text.
    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct
        map struct identifier ignored_any
    }
}

impl<'de> Cell<'de> {
    fn text(&self) -> Result<&'de str, Unfit> {
        match self.0 {
            ValueRef::Text(text) => std::str::from_utf8(text).map_err(|_| Unfit("no text".to_owned())),
            _ => Err(Unfit("a value that is no text".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use entity::{ApiKeyId, Delivery, InviteId, Millis, UserId};
    use rusqlite::Connection;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Model {
        id: InviteId,
        by: Option<ApiKeyId>,
        delivery: Delivery,
        salt: Vec<u8>,
        mails: i32,
        user: Option<UserId>,
        configured: bool,
        at: Millis,
        note: Option<String>,
    }

    fn read(sql: &str) -> Result<Model, DbErr> {
        let connection = Connection::open_in_memory().unwrap();
        let mut select = connection.prepare(sql).unwrap();
        let mut rows = select.query([]).unwrap();
        model(rows.next().unwrap().unwrap())
    }

    #[test]
    fn every_kind_of_column_is_read_as_its_field() {
        let id = uuid::Uuid::from_u128(7);
        let full = "SELECT x'00000000000000000000000000000007', x'00000000000000000000000000000007', 'sent', x'0102ff', -3, \
                    'user_1', 1, 9223372036854775807, 'ä'";
        assert_eq!(
            read(full).unwrap(),
            Model {
                id: InviteId(id),
                by: Some(ApiKeyId(id)),
                delivery: Delivery::Sent,
                salt: vec![1, 2, 255],
                mails: -3,
                user: Some(UserId("user_1".into())),
                configured: true,
                at: Millis(i64::MAX),
                note: Some("ä".into()),
            }
        );
        let least =
            read("SELECT x'00000000000000000000000000000007', NULL, 'none', x'', 0, NULL, 0, 0, NULL")
                .unwrap();
        assert_eq!((least.by, least.user, least.note, least.configured), (None, None, None, false));
    }

    #[test]
    fn what_does_not_fit_its_field_is_refused_and_not_shown() {
        let with = |cell: &str, at: usize| {
            let mut cells = [
                "x'00000000000000000000000000000007'",
                "NULL",
                "'none'",
                "x''",
                "0",
                "NULL",
                "0",
                "0",
                "NULL",
            ];
            cells[at] = cell;
            read(&format!("SELECT {}", cells.join(", ")))
        };
        assert!(with("NULL", 1).is_ok());
        for (cell, at) in [
            ("NULL", 0),
            ("'secret'", 0),
            ("x'73'", 0),
            ("'secret'", 1),
            ("'secret'", 2),
            ("NULL", 2),
            ("'secret'", 3),
            ("9223372036854775807", 4),
            ("'secret'", 4),
            ("'secret'", 6),
            ("'secret'", 7),
            ("x'ff'", 8),
            ("1", 8),
        ] {
            let why = with(cell, at).unwrap_err().to_string();
            assert!(!why.contains("secret") && !why.contains("9223"), "{cell} {at}: {why}");
        }
        assert!(read("SELECT x'00000000000000000000000000000007'").is_err(), "cells that are not there");
    }

    #[test]
    fn a_statement_gives_the_columns_of_its_table_or_is_refused() {
        let columns: Vec<_> = entity::workspace::Column::iter().map(|column| column.as_str()).collect();
        assert!(are_all_of::<entity::workspace::Entity>(&columns));
        assert!(!are_all_of::<entity::workspace::Entity>(&columns[1..]));
        let turned: Vec<_> = columns.iter().rev().copied().collect();
        assert!(!are_all_of::<entity::workspace::Entity>(&turned));
    }
}

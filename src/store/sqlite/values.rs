//! Values on their way between statements and SQLite: bound by type, read by what SQLite holds and, where it holds
//! less than the entities tell apart (numbers, flags and ids), by the name of the column, which means one type in all
//! tables.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use rusqlite::{
    Row, ToSql,
    types::{ToSqlOutput, Value as Owned, ValueRef},
};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, IdenStatic, Iterable, ProxyRow, Value, sea_query::ColumnType,
};

/// The columns of all tables whose integers or bytes are something narrower.
pub(super) static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::of_all_tables);

/// What columns hold that are integers or bytes, by their name.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    names: HashMap<String, Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Flag,
    Small,
    Large,
    Id,
    Bytes,
    Text,
}

impl Kinds {
    fn of_all_tables() -> Self {
        let mut kinds = Self::default();
        kinds.learn::<entity::api_key::Entity>();
        kinds.learn::<entity::event::Entity>();
        kinds.learn::<entity::idempotency_record::Entity>();
        kinds.learn::<entity::invite::Entity>();
        kinds.learn::<entity::limit_counter::Entity>();
        kinds.learn::<entity::outbox::Entity>();
        kinds.learn::<entity::owner_granted::Entity>();
        kinds.learn::<entity::tenant::Entity>();
        kinds.learn::<entity::tenant_member::Entity>();
        kinds.learn::<entity::user::Entity>();
        kinds.learn::<entity::workspace::Entity>();
        kinds.learn::<entity::workspace_member::Entity>();
        kinds
    }

    /// Notes the columns of a table. A name may hold text in one and numbers in another, which SQLite tells apart; two
    /// kinds of numbers it may not.
    fn learn<E: EntityTrait>(&mut self) {
        for column in E::Column::iter() {
            let (name, kind) = (column.as_str(), kind_of(column));
            if !matches!(kind, Kind::Text | Kind::Bytes) {
                let known = self.names.insert(name.to_owned(), kind);
                debug_assert!(known.is_none_or(|known| known == kind), "{name} is two things");
            }
        }
    }

    /// One row by the names of its columns.
    pub(super) fn row(&self, row: &Row<'_>, names: &[String]) -> Result<ProxyRow, DbErr> {
        let mut values = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            let value = row.get_ref(at).map_err(|error| DbErr::Type(error.to_string()))?;
            if values.insert(name.clone(), self.value(name, value)?).is_some() {
                return Err(DbErr::Type(format!("two columns are named {name}")));
            }
        }
        if names.len() > 1 {
            // read by position, such a row would give its values in the order of their names: it gives nothing
            values.insert(String::new(), Value::Bool(None));
        }
        Ok(ProxyRow::new(values))
    }

    fn value(&self, name: &str, value: ValueRef<'_>) -> Result<Value, DbErr> {
        let kind = match (value, self.names.get(name)) {
            // whatever it would have been: reading it as anything gives nothing
            (ValueRef::Null, _) => return Ok(Value::String(None)),
            (ValueRef::Blob(bytes), Some(Kind::Id)) if bytes.len() == 16 => Kind::Id,
            (ValueRef::Blob(_), _) => Kind::Bytes,
            (ValueRef::Integer(_), Some(kind @ (Kind::Flag | Kind::Small))) => *kind,
            (ValueRef::Integer(_), _) => Kind::Large,
            (ValueRef::Real(_) | ValueRef::Text(_), _) => Kind::Text,
        };
        value_of(name, value, kind)
    }
}

/// A value of a column that holds this kind.
fn value_of(name: &str, value: ValueRef<'_>, kind: Kind) -> Result<Value, DbErr> {
    let wrong = |what: &str| DbErr::Type(format!("{name} is {what}"));
    Ok(match (kind, value) {
        (Kind::Flag, ValueRef::Null) => Value::Bool(None),
        (Kind::Small, ValueRef::Null) => Value::Int(None),
        (Kind::Large, ValueRef::Null) => Value::BigInt(None),
        (Kind::Id, ValueRef::Null) => Value::Uuid(None),
        (Kind::Bytes, ValueRef::Null) => Value::Bytes(None),
        (Kind::Text, ValueRef::Null) => Value::String(None),
        (Kind::Flag, ValueRef::Integer(number)) => Value::Bool(Some(number != 0)),
        (Kind::Small, ValueRef::Integer(number)) => {
            Value::Int(Some(i32::try_from(number).map_err(|_| wrong("too large"))?))
        }
        (_, ValueRef::Integer(number)) => Value::BigInt(Some(number)),
        (_, ValueRef::Real(number)) => Value::Double(Some(number)),
        (_, ValueRef::Text(text)) => {
            let text = std::str::from_utf8(text).map_err(|_| wrong("no text"))?;
            Value::String(Some(text.to_owned()))
        }
        (Kind::Id, ValueRef::Blob(bytes)) => {
            Value::Uuid(Some(uuid::Uuid::from_slice(bytes).map_err(|_| wrong("no id"))?))
        }
        (_, ValueRef::Blob(bytes)) => Value::Bytes(Some(bytes.to_vec())),
    })
}

fn kind_of(column: impl ColumnTrait) -> Kind {
    match column.def().get_column_type() {
        ColumnType::Boolean => Kind::Flag,
        ColumnType::Integer => Kind::Small,
        ColumnType::BigInteger => Kind::Large,
        ColumnType::Uuid => Kind::Id,
        ColumnType::Binary(_) | ColumnType::VarBinary(_) | ColumnType::Blob => Kind::Bytes,
        _ => Kind::Text,
    }
}

/// A value bound to a statement.
pub(super) struct Bound<'a>(pub(super) &'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let integer = |number: i64| Ok(ToSqlOutput::Owned(Owned::Integer(number)));
        match self.0 {
            Value::Bool(Some(flag)) => integer(i64::from(*flag)),
            Value::TinyInt(Some(number)) => integer(i64::from(*number)),
            Value::SmallInt(Some(number)) => integer(i64::from(*number)),
            Value::Int(Some(number)) => integer(i64::from(*number)),
            Value::BigInt(Some(number)) => integer(*number),
            Value::TinyUnsigned(Some(number)) => integer(i64::from(*number)),
            Value::SmallUnsigned(Some(number)) => integer(i64::from(*number)),
            Value::Unsigned(Some(number)) => integer(i64::from(*number)),
            Value::BigUnsigned(Some(number)) => match i64::try_from(*number) {
                Ok(number) => integer(number),
                Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(error.into())),
            },
            Value::Double(Some(number)) => Ok(ToSqlOutput::Owned(Owned::Real(*number))),
            Value::String(Some(text)) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
            Value::Bytes(Some(bytes)) => Ok(ToSqlOutput::Borrowed(ValueRef::Blob(bytes))),
            Value::Uuid(Some(id)) => Ok(ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes()))),
            Value::Bool(None)
            | Value::TinyInt(None)
            | Value::SmallInt(None)
            | Value::Int(None)
            | Value::BigInt(None)
            | Value::TinyUnsigned(None)
            | Value::SmallUnsigned(None)
            | Value::Unsigned(None)
            | Value::BigUnsigned(None)
            | Value::Double(None)
            | Value::String(None)
            | Value::Bytes(None)
            | Value::Uuid(None) => Ok(ToSqlOutput::Borrowed(ValueRef::Null)),
            other => {
                let why = format!("no column of usher holds a {}", name_of(other));
                Err(rusqlite::Error::ToSqlConversionFailure(why.into()))
            }
        }
    }
}

/// What kind of value it is, and never the value.
fn name_of(value: &Value) -> String {
    let text = format!("{value:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    use rusqlite::Connection;

    fn nothing() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn a_name_means_one_kind_of_numbers_in_all_tables() {
        // asserted while they are learnt
        let kinds = Kinds::of_all_tables();
        for (name, kind) in [
            ("version", Kind::Small),
            ("expires_at", Kind::Large),
            ("configured", Kind::Flag),
            ("tenant_id", Kind::Id),
        ] {
            assert_eq!(kinds.names.get(name), Some(&kind), "{name}");
        }
    }

    #[test]
    fn values_come_back_as_what_they_were() {
        let id = uuid::Uuid::now_v7();
        let wanted = [
            ("tenant_id", Value::Uuid(Some(id))),
            ("salt", Value::Bytes(Some(vec![7; 16]))),
            ("version", Value::Int(Some(-3))),
            ("expires_at", Value::BigInt(Some(i64::MAX))),
            ("configured", Value::Bool(Some(true))),
            ("count", Value::BigInt(Some(7))),
            ("email", Value::String(Some("ä".to_owned()))),
            ("note", Value::String(None)),
        ];
        let names = wanted.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        let connection = nothing();
        let mut select = connection.prepare("SELECT ?, ?, ?, ?, ?, ?, ?, ?").unwrap();
        for (at, (_, value)) in wanted.iter().enumerate() {
            select.raw_bind_parameter(at + 1, Bound(value)).unwrap();
        }
        let mut rows = select.raw_query();
        let read = KINDS.row(rows.next().unwrap().unwrap(), &names).unwrap();
        for (name, value) in wanted {
            assert_eq!(read.values.get(name), Some(&value), "{name}");
        }
    }

    #[test]
    fn two_columns_of_one_name_are_refused_and_reading_by_position_gives_nothing() {
        let connection = nothing();
        let row = |names: [&str; 2]| {
            let mut select = connection.prepare("SELECT 1, 2").unwrap();
            let mut rows = select.query([]).unwrap();
            KINDS.row(rows.next().unwrap().unwrap(), &names.map(str::to_owned))
        };
        assert!(row(["n", "n"]).is_err());
        let read = sea_orm::QueryResult::from(row(["b", "a"]).unwrap());
        assert!(read.try_get_by_index::<i64>(0).is_err());
        assert!(read.try_get::<i64>("", "b").is_ok_and(|number| number == 1));
    }

    #[test]
    fn what_cannot_be_bound_is_named_and_not_shown() {
        let error = Bound(&Value::Char(Some('x'))).to_sql().unwrap_err().to_string();
        assert!(error.contains("Char") && !error.contains('x'), "{error}");
    }
}

//! Texts of statements that are run for nearly every call. Putting a statement together from tables and columns costs
//! more than SQLite needs to run it, and its text is the same each time: so it is built once for each engine, and only
//! its values are new.

use std::sync::OnceLock;

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel, Iterable, ModelTrait, QueryResult,
    QueryTrait, Statement, Value,
    sea_query::{Expr, OnConflict, Query, SelectStatement, SimpleExpr, ValueTuple, Values},
};

/// The text of one statement, on each engine.
pub(super) struct Text {
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Text {
    pub(super) const fn new() -> Self {
        Self { sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// The statement with these values, which must be those of what `build` makes, in its order. While debugging it is
    /// built each time and compared.
    pub(super) fn with(
        &self,
        conn: &impl ConnectionTrait,
        values: impl IntoIterator<Item = Value>,
        build: impl FnOnce(DbBackend) -> Statement,
    ) -> Statement {
        let engine = conn.get_database_backend();
        let text = if engine == DbBackend::Postgres { &self.postgres } else { &self.sqlite };
        let values = Some(Values(values.into_iter().collect()));
        let sql = match text.get() {
            Some(sql) if !cfg!(debug_assertions) => sql,
            _ => {
                let built = build(engine);
                debug_assert_eq!(built.values, values, "{}", built.sql);
                let sql = text.get_or_init(|| built.sql.clone());
                debug_assert_eq!(*sql, built.sql);
                sql
            }
        };
        Statement { sql: sql.clone(), values, db_backend: engine }
    }
}

/// The texts of one statement for so many rows at a time as [`super::constant_chunks`] gives.
pub(super) struct Sizes([Text; super::SIZES.len()]);

impl Sizes {
    pub(super) const fn new() -> Self {
        Self([const { Text::new() }; super::SIZES.len()])
    }

    /// The text for so many.
    pub(super) fn of(&self, rows: usize) -> Result<&Text, DbErr> {
        let place = super::SIZES.iter().position(|size| *size == rows);
        let none = || DbErr::Custom(format!("no statement is for {rows} rows"));
        place.and_then(|place| self.0.get(place)).ok_or_else(none)
    }
}

/// The texts by which rows are added to one table.
pub(super) struct Inserts(Sizes);

impl Inserts {
    pub(super) const fn new() -> Self {
        Self(Sizes::new())
    }

    /// Adds whole rows; tells how many were added, which are fewer only where a conflict is allowed.
    pub(super) async fn add<E>(
        &self,
        conn: &impl ConnectionTrait,
        rows: Vec<E::Model>,
        conflict: Option<&OnConflict>,
    ) -> Result<u64, DbErr>
    where
        E: EntityTrait,
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        let mut added = 0;
        for chunk in super::constant_chunks(rows) {
            let values = chunk.iter().flat_map(|row| E::Column::iter().map(|column| row.get(column)));
            let statement = self.0.of(chunk.len())?.with(conn, values, |engine| {
                let rows = chunk.iter().map(|row| all_of::<E>(row.clone()));
                let mut insert = E::insert_many(rows);
                if let Some(conflict) = conflict {
                    insert = insert.on_conflict(conflict.clone());
                }
                insert.build(engine)
            });
            added += conn.execute_raw(statement).await?.rows_affected();
        }
        Ok(added)
    }
}

fn all_of<E>(row: E::Model) -> E::ActiveModel
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    use sea_orm::ActiveModelTrait;

    row.into_active_model().reset_all()
}

/// What is asked for of many tuples at once. Of a list of them (`IN`, or a join) an engine would judge whether each is looked
/// up or all that the rest of a condition finds is walked, and without figures of a table it takes the latter: so each
/// is asked about by statements that find one value.
pub(super) struct Asking(Sizes);

/// A value of a tuple, as statements name it.
pub(super) type Asked = (&'static str, &'static str);

impl Asking {
    /// Place of a tuple, and its values.
    const PLACE: Asked = ("asked", "column1");
    pub(super) const FIRST: Asked = ("asked", "column2");
    pub(super) const SECOND: Asked = ("asked", "column3");
    pub(super) const THIRD: Asked = ("asked", "column4");

    pub(super) const fn new() -> Self {
        Self(Sizes::new())
    }

    /// The rows that are found, each with the place of its tuple; `ask` makes the rest of the statement.
    pub(super) async fn each<const N: usize>(
        &self,
        conn: &impl ConnectionTrait,
        tuples: &[[Value; N]],
        ask: impl Fn(&mut SelectStatement) -> &mut SelectStatement,
    ) -> Result<Vec<(usize, QueryResult)>, DbErr> {
        let (mut before, mut rows) = (0, Vec::new());
        for chunk in super::filled_chunks(tuples) {
            let placed = || chunk.iter().zip(0_i64..).map(|(tuple, place)| (Value::from(place), tuple));
            let values =
                placed().flat_map(|(place, tuple)| std::iter::once(place).chain(tuple.iter().cloned()));
            let statement = self.0.of(chunk.len())?.with(conn, values, |engine| {
                let tuples = placed().map(|(place, tuple)| {
                    ValueTuple::Many(std::iter::once(place).chain(tuple.iter().cloned()).collect())
                });
                let mut query = Query::select();
                query.expr_as(Expr::col(Self::PLACE), "place").from_values(tuples, Self::PLACE.0);
                ask(&mut query);
                engine.build(&query)
            });
            for row in conn.query_all_raw(statement).await? {
                let place = usize::try_from(row.try_get::<i64>("", "place")?).unwrap_or(usize::MAX);
                let place = place.saturating_add(before);
                // the last run is filled up
                if place < tuples.len() {
                    rows.push((place, row));
                }
            }
            before += chunk.len();
        }
        Ok(rows)
    }
}

/// What a statement of one value finds.
pub(super) fn found(one: SelectStatement) -> SimpleExpr {
    SimpleExpr::SubQuery(None, Box::new(one.into()))
}

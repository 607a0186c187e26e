//! The schema of a real database as far as a binary depends on it, and what of a change to it is more than an
//! expansion: something that an older binary reads is gone, or something that it writes is no longer legal.

use std::collections::{BTreeMap, BTreeSet};

use migration::{Migrator, MigratorTrait};

use super::{database::Inspector, server::Engine};

/// Tables by name.
pub type Schema = BTreeMap<String, Table>;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Columns by name.
    pub columns: BTreeMap<String, Column>,
    /// What its rows must satisfy: keys, references, checks, as the engine writes them.
    pub rules: BTreeSet<String>,
    /// Names of indexes that only make it fast.
    pub indexes: BTreeSet<String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its type, as the engine names it.
    pub kind: String,
    /// Whether an insert may leave it out.
    pub optional: bool,
}

/// What is no expansion between these, in words; indexes that only make something fast may come and go.
pub fn not_expanding(before: &Schema, after: &Schema) -> Vec<String> {
    let mut told = Vec::new();
    for (name, old) in before {
        let Some(new) = after.get(name) else {
            told.push(format!("{name} is gone"));
            continue;
        };
        for (column, was) in &old.columns {
            match new.columns.get(column) {
                None => told.push(format!("{name}.{column} is gone")),
                Some(is) if is.kind != was.kind => told.push(format!("{name}.{column} is of another type")),
                Some(is) if was.optional && !is.optional => {
                    told.push(format!("{name}.{column} must be given"))
                }
                Some(_) => {}
            }
        }
        let added = new.columns.iter().filter(|(column, _)| !old.columns.contains_key(*column));
        told.extend(
            added.filter(|(_, is)| !is.optional).map(|(column, _)| format!("{name}.{column} must be given")),
        );
        // a rule that names a column by its new name is told of as that column
        let renamed = |rule: &str| {
            old.columns.keys().any(|c| !new.columns.contains_key(c) && rule.contains(c.as_str()))
        };
        told.extend(new.rules.difference(&old.rules).map(|rule| format!("{name} has a new rule: {rule}")));
        let lost = old.rules.difference(&new.rules).filter(|rule| !renamed(rule));
        told.extend(lost.map(|rule| format!("{name} has lost a rule: {rule}")));
    }
    told
}

impl Inspector {
    /// Names of all migrations, in order.
    pub fn migrations(&self) -> Vec<String> {
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect()
    }

    /// Applies the next migrations, all of them with `None`.
    pub async fn migrate(&self, steps: Option<u32>) {
        Migrator::up(self.connection(), steps).await.unwrap();
    }

    /// Names of all tables but the migrator's own.
    pub async fn tables(&self) -> Vec<String> {
        self.texts(match self.engine {
            Engine::Sqlite => {
                "SELECT name AS t FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
                 AND name <> 'seaql_migrations'"
            }
            Engine::Postgres => {
                "SELECT tablename::text AS t FROM pg_tables WHERE schemaname = 'public' \
                 AND tablename <> 'seaql_migrations'"
            }
        })
        .await
    }

    /// The schema as it is now.
    pub async fn schema(&self) -> Schema {
        let mut schema = Schema::new();
        for name in self.tables().await {
            let columns = match self.engine {
                Engine::Sqlite => format!(
                    "SELECT name || '|' || lower(type) || '|' || \
                     CASE WHEN \"notnull\" = 0 AND pk = 0 OR dflt_value IS NOT NULL THEN 'optional' ELSE '' END AS t \
                     FROM pragma_table_info('{name}')"
                ),
                Engine::Postgres => format!(
                    "SELECT column_name || '|' || data_type || '|' || \
                     CASE WHEN is_nullable = 'YES' OR column_default IS NOT NULL THEN 'optional' ELSE '' END AS t \
                     FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{name}'"
                ),
            };
            let mut table = Table { rules: self.rules(&name).await, ..Table::default() };
            for line in self.texts(&columns).await {
                let [column, kind, optional] = line.split('|').collect::<Vec<_>>()[..] else {
                    panic!("{line}")
                };
                let is = Column { kind: kind.to_owned(), optional: optional == "optional" };
                table.columns.insert(column.to_owned(), is);
            }
            table.indexes.extend(self.indexes(&name).await);
            schema.insert(name, table);
        }
        schema
    }

    async fn indexes(&self, table: &str) -> Vec<String> {
        self.texts(&match self.engine {
            Engine::Sqlite => {
                format!("SELECT name AS t FROM pragma_index_list('{table}') WHERE \"unique\" = 0")
            }
            Engine::Postgres => format!(
                "SELECT indexrelid::regclass::text AS t FROM pg_index WHERE NOT indisunique \
                 AND indrelid = '{table}'::regclass"
            ),
        })
        .await
    }

    async fn rules(&self, table: &str) -> BTreeSet<String> {
        match self.engine {
            Engine::Postgres => {
                let sql = format!(
                    "SELECT pg_get_constraintdef(oid) AS t FROM pg_constraint \
                     WHERE conrelid = '{table}'::regclass AND contype IN ('c', 'f', 'p', 'u') \
                     UNION SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', 'UNIQUE ') \
                     FROM pg_index WHERE indisunique AND indrelid = '{table}'::regclass"
                );
                self.texts(&sql).await.into_iter().collect()
            }
            Engine::Sqlite => {
                let references = format!(
                    "SELECT 'FOREIGN KEY ' || group_concat(\"from\") || ' REFERENCES ' || \"table\" || ' ' || \
                     group_concat(\"to\") || ' ' || on_delete AS t FROM pragma_foreign_key_list('{table}') GROUP BY id"
                );
                let unique = format!(
                    "SELECT 'UNIQUE ' || (SELECT group_concat(i.name) FROM pragma_index_info(l.name) i) || \
                     coalesce((SELECT ' ' || substr(sql, instr(sql, ' WHERE ')) FROM sqlite_master \
                               WHERE name = l.name AND l.partial), '') AS t \
                     FROM pragma_index_list('{table}') l WHERE l.\"unique\""
                );
                let made =
                    format!("SELECT sql AS t FROM sqlite_master WHERE type = 'table' AND name = '{table}'");
                let mut rules: BTreeSet<String> = self.texts(&references).await.into_iter().collect();
                rules.extend(self.texts(&unique).await);
                rules.extend(self.texts(&made).await.iter().flat_map(|sql| checks(sql)));
                rules
            }
        }
    }
}

/// Every `CHECK (…)` of a table's SQL, which is all that SQLite tells of them.
fn checks(sql: &str) -> Vec<String> {
    let inner = |rest: &str| {
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0 && c == ')'
        });
        format!("CHECK {}", rest[..=end.unwrap()].trim())
    };
    sql.split("CHECK").skip(1).map(inner).collect()
}

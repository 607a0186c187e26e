//! `usher tenant`: what is configured, and how full it is.

use clap::Subcommand;
use entity::TenantId;
use serde::Serialize;

use super::{Globals, context, failure::Failure, output};
use crate::store;

/// Verbs of `usher tenant`.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Lists the configured tenants, with members and seats.
    ///
    /// A tenant is one file in `<config>/tenants/`. Prints a table, or with --json
    /// {"data":[{"id","slug","name","domains","members","seats"}],"total"}.
    ///
    /// Example:  usher tenant list --json
    #[command(verbatim_doc_comment)]
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct Row {
    id: TenantId,
    slug: String,
    name: String,
    domains: Vec<String>,
    members: i64,
    seats: Option<i64>,
}

/// Runs it.
///
/// # Errors
/// Any [`Failure`].
pub fn run(globals: &Globals, verb: Verb) -> Result<(), Failure> {
    let Verb::List { json } = verb;
    let rows = context::with(globals, async |cx| {
        let tenants = &cx.loaded.settings.tenants;
        let ids: Vec<TenantId> = tenants.iter().map(|tenant| tenant.id).collect();
        let found = cx.store.read(async move |db| store::tenants::find_all(&db, &ids).await).await?;
        Ok(tenants
            .iter()
            .map(|tenant| Row {
                id: tenant.id,
                slug: tenant.slug.clone(),
                name: tenant.name.clone(),
                domains: tenant.domains.iter().map(ToString::to_string).collect(),
                members: found.iter().find(|row| row.id == tenant.id).map_or(0, |row| row.seats_used),
                seats: tenant.invites.seats,
            })
            .collect::<Vec<Row>>())
    })?;
    if json {
        return output::json_list(&rows);
    }
    let rows: Vec<[String; 6]> = rows
        .into_iter()
        .map(|row| {
            let seats = row.seats.map_or_else(|| "unlimited".to_owned(), |seats| seats.to_string());
            [row.id.to_string(), row.slug, row.name, row.domains.join(","), row.members.to_string(), seats]
        })
        .collect();
    output::table(["ID", "SLUG", "NAME", "DOMAINS", "MEMBERS", "SEATS"], &rows, "no tenant is configured")
}

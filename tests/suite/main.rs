//! The black-box suite: everything that the wire contract, the configuration and the command line promise,
//! asked of a real server over real HTTP, on SQLite and on PostgreSQL. One topic a file; each test's name is
//! the sentence it proves.
//!
//! Needs nothing but the build. Where PostgreSQL's programs, curl, the Python SDK or schemathesis are missing, that
//! part says `SKIPPED` on the terminal, and fails under `USHER_REQUIRE_ALL=1`. Longer runs of the same tests:
//! `USHER_RACE_ROUNDS` (10000 with the filter `mixed_races` is the great race), `USHER_CRASH_CYCLES`,
//! `USHER_MODEL_STEPS`, `USHER_PLAN_ROWS`, `USHER_MAIL_COUNT`, `USHER_STALE_ROUNDS`, `USHER_TENANTS`. `USHER_BINARY` names another build
//! to run as a process.
//!
//! Which attack or fault each shows is in the tables of `docs/SECURITY.md`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

#[path = "../support/mod.rs"]
mod support;

mod acceptance;
mod address_policy;
mod api_keys;
mod authority;
mod bad_input;
mod batches;
mod budgets;
mod cli;
mod clock_jumps;
mod cors;
mod crash;
mod credentials;
mod documents;
mod edge;
mod events;
mod faults;
mod first_run;
mod foreign_ids;
mod fuzzing;
mod granting;
mod hostile_tenants;
mod hosts;
mod hot_plans;
mod idempotency;
mod idempotent_posts;
mod identity;
mod invitation_tokens;
mod invitations;
mod isolation;
mod key_sets;
mod landing_pages;
mod lifecycle;
mod limits;
mod links;
mod list_plans;
mod lists;
mod lost_answers;
mod mail_content;
mod mail_delivery;
mod member_lists;
mod mixed_races;
mod model;
mod openapi;
mod operations;
mod org_invites;
mod permissions;
mod previews;
mod races;
mod resending;
mod restoring;
mod retention;
mod retention_batches;
mod roles;
mod rolling_upgrade;
mod sdk;
mod secrets;
mod sharing;
mod sharing_rules;
mod staleness;
mod starved;
mod wire;
mod workspace_invites;

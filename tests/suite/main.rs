//! The black-box suite: everything that the wire contract, the configuration and the command line promise,
//! asked of a real server over real HTTP, on SQLite and on PostgreSQL. One topic a file; each test's name is
//! the sentence it proves.
//!
//! Needs nothing but the build. Where PostgreSQL's programs, the Python SDK or schemathesis are not installed, that
//! part says `SKIPPED` on the terminal, and fails under `USHER_REQUIRE_ALL=1`. Longer runs of the same tests:
//! `USHER_RACE_ROUNDS` (10000 with the filter `mixed_races` is the great race), `USHER_CRASH_CYCLES`,
//! `USHER_MODEL_STEPS`. `USHER_BINARY` names another build to run as a process.
//!
//! The twenty checks that come before all others, and where they stand:
//!
//! | Check | What must hold | File |
//! |---|---|---|
//! | E-01 | a link in other hands is refused and stays good for its addressee | `identity` |
//! | E-02 | an address that is not verified opens nothing | `identity` |
//! | E-03 | look-alike addresses are different addresses | `identity` |
//! | T-01 | no edited token is ever taken | `links` |
//! | T-02 | a rotated link is dead | `resending` |
//! | T-05 | a token works for its scope and tenant only | `links` |
//! | H-01 | no header of a request reaches a link | `links` |
//! | R-01 | nobody grants above their own rank | `roles` |
//! | R-02 | nor through any other door | `roles`, `granting` |
//! | R-05 | a foreign id answers as one that never was | `foreign_ids` |
//! | L-01 | one acceptance, however many try | `races` |
//! | L-02 | accept against revoke has one winner | `races` |
//! | L-04 | expiry is exact and needs no sweeper | `lifecycle` |
//! | L-11 | both memberships or none | `races`, `crash` |
//! | J-02 | audience, issuer and subject are demanded | `credentials` |
//! | J-04 | a tenant's issuer speaks for that tenant only | `credentials` |
//! | M-01 | no control character reaches a mail | `mail_content` |
//! | Q-01 | a killed process loses nothing it has acknowledged | `crash` |
//! | Q-05 | several servers on one queue mail once | `mail_delivery` |
//! | Q-08 | one bad mail holds up no other | `mail_delivery` |

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
mod cli;
mod cors;
mod crash;
mod credentials;
mod documents;
mod edge;
mod events;
mod faults;
mod foreign_ids;
mod fuzzing;
mod granting;
mod hostile_tenants;
mod hosts;
mod idempotency;
mod idempotent_posts;
mod identity;
mod invitation_tokens;
mod invitations;
mod landing_pages;
mod lifecycle;
mod links;
mod list_plans;
mod lists;
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
mod workspace_invites;

//! The command line: nouns then verbs, one file per noun. Standard output is data only, so that it can be piped;
//! remarks, warnings and logs go to standard error; the exit code says what kind of failure it was.
//!
//! | noun | file | works on |
//! |---|---|---|
//! | `serve`, `dev`, `openapi` | here | `app`, `dev`, `http` |
//! | `config` | `config` | files alone |
//! | `migrate` | `migrate` | the schema |
//! | `token` | `token` | files alone |
//! | `api-key`, `tenant`, `member`, `invite`, `mail` | by its name | the database, through the use cases |
//! | `backup`, `restore-finish` | by its name | the database, as a whole |
//! | `doctor` | `doctor` | everything, changing nothing |

mod api_key;
mod backup;
mod config;
mod context;
mod doctor;
mod failure;
mod invite;
mod mail;
mod member;
mod migrate;
mod output;
mod restore_finish;
mod tenant;
#[cfg(test)]
mod tests;
mod token;

use std::{ffi::OsString, io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use self::failure::Failure;
use crate::{app, config::Source, dev, http, telemetry};

/// Self-hosted, white-label invitations and memberships for multi-tenant software.
#[derive(Parser, Debug)]
#[command(
    name = "usher",
    version,
    arg_required_else_help = true,
    verbatim_doc_comment,
    after_help = "\
Configuration: `usher.toml` and one file per tenant in `tenants/`, below --config. Every key can be overridden by
an environment variable, as in USHER__SERVER__LISTEN=0.0.0.0:8080 or USHER__TOKENS__KEYS__0__SECRET_FILE=/run/key;
every secret can be given as a file, with `_file` after its key. Flags beat variables, variables beat files.
`usher config show` tells what is in force and where it came from.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 database or port out of reach.

Begin with:  usher dev"
)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct Globals {
    /// Directory with `usher.toml` and `tenants/*.toml` [default: config]
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "DIR")]
    config: Option<PathBuf>,
    /// Where the SQLite file and mails written as files lie, unless the configuration says so [default: data]
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on; beats file and environment
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "ADDR:PORT")]
    listen: Option<String>,
}

impl Globals {
    /// Where the configuration comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            config_dir: self.config.clone().unwrap_or_else(|| PathBuf::from("config")),
            data_dir: self.data_dir.clone(),
            listen: self.listen.clone(),
            env: environment(),
        }
    }
}

/// The environment, as far as it is text.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The nouns.
#[derive(Subcommand, Debug)]
enum Command {
    /// Runs the server until it is told to stop.
    ///
    /// Migrates the database by itself (three replicas at once included), reloads its configuration on SIGHUP or
    /// when a file changes, and on SIGTERM finishes requests and mails under way. Logs go to standard error.
    ///
    /// Examples:  usher serve
    ///            usher --config /etc/usher serve --listen 0.0.0.0:8080
    #[command(verbatim_doc_comment)]
    Serve,
    /// Runs a server to play with: no configuration, two tenants, a mailbox, a clock that can be moved.
    ///
    /// Prints ready-to-paste curl lines that invite somebody, read the mail and accept. Mails go to a page,
    /// /dev/mailbox; POST /dev/clock/advance {"seconds":N} moves time. Everything lies in --data-dir (data/dev, if
    /// not given): delete it to begin anew. With --config DIR your own tenants are served instead; still, no mail
    /// leaves this process.
    ///
    /// Examples:  usher dev
    ///            usher dev --listen 127.0.0.1:9000
    #[command(verbatim_doc_comment)]
    Dev,
    /// Checks and shows the configuration.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    Config(config::Verb),
    /// Brings the schema of the database up or down.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    Migrate(migrate::Verb),
    /// Mints bearer tokens for trying things out.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    Token(token::Verb),
    /// Makes, lists and revokes API keys.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    ApiKey(api_key::Verb),
    /// Lists tenants.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    Tenant(tenant::Verb),
    /// Lists members, changes their roles, removes them.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    Member(member::Verb),
    /// Creates, lists, shows, resends and revokes invites.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    Invite(invite::Verb),
    /// Lists mails owed, tries given-up ones again, shows what a mail looks like.
    #[command(subcommand, arg_required_else_help = true, verbatim_doc_comment)]
    Mail(mail::Verb),
    /// Copies a SQLite database into a new file, while it is served.
    ///
    /// One consistent moment of it, checked, readable by its owner alone; an existing file is never overwritten.
    /// Prints nothing on standard output. PostgreSQL has its own tools: there, no backup is made, the pg_dump command
    /// for this database is shown without its password, and the exit code is 1.
    ///
    /// Example:  usher backup /var/backups/usher-$(date +%F).db
    #[command(verbatim_doc_comment)]
    Backup {
        /// The file to make
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Makes a database that was brought back from a dump safe to serve: nothing that ended since comes back.
    ///
    /// Run it after the restore and before the server. Whatever was pending in the dump may have been revoked,
    /// accepted or given another link since, and nobody can tell: all pending invites are revoked, so that no link and
    /// no inbox accepts them, and mails that have not left are cancelled; --pending keeps them under new links
    /// instead. Answers kept for Idempotency-Key are forgotten. API keys that are live are named, or revoked with
    /// --revoke-keys. Prints what was done, as a table or with --json {"invites_revoked",…}. May be repeated.
    ///
    /// Examples:  usher restore-finish --since 2030-01-02T03:04:05Z
    ///            usher restore-finish --pending rotate --revoke-keys
    #[command(verbatim_doc_comment)]
    RestoreFinish(restore_finish::Finish),
    /// Prints the OpenAPI document, as the server has it at /openapi.json.
    ///
    /// Example:  usher openapi > openapi.json
    #[command(verbatim_doc_comment)]
    Openapi,
    /// Looks at everything the server needs and says what to do about what is wrong.
    ///
    /// Checks configuration, token keys, files, database and schema, mail relays, key sets of issuers, clock and
    /// port. Changes nothing and sends no mail. Prints a report, or with --json {"ok","checks":[…]}; exit code 1
    /// if something is wrong.
    ///
    /// Example:  usher --config /etc/usher doctor
    #[command(verbatim_doc_comment)]
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command line of this process and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    // before anything speaks TLS; a second call finds it there
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    run(std::env::args_os())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => match dispatch(cli) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
        Err(refused) => {
            // help and version go to standard output with 0, usage to standard error with 2
            let _ = refused.print();
            ExitCode::from(u8::try_from(refused.exit_code()).unwrap_or(2))
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let globals = &cli.globals;
    if !matches!(cli.command, Command::Serve | Command::Dev) {
        log_quietly();
    }
    match cli.command {
        Command::Serve => serve(globals),
        Command::Dev => run_dev(globals),
        Command::Openapi => openapi(),
        Command::Config(verb) => config::run(globals, verb),
        Command::Migrate(verb) => migrate::run(globals, verb),
        Command::Token(verb) => token::run(globals, verb),
        Command::ApiKey(verb) => api_key::run(globals, verb),
        Command::Tenant(verb) => tenant::run(globals, verb),
        Command::Member(verb) => member::run(globals, verb),
        Command::Invite(verb) => invite::run(globals, verb),
        Command::Mail(verb) => mail::run(globals, verb),
        Command::Backup { file } => backup::run(globals, file),
        Command::RestoreFinish(asked) => restore_finish::run(globals, &asked),
        Command::Doctor { json } => doctor::run(globals, json),
    }
}

fn serve(globals: &Globals) -> Result<(), Failure> {
    let _lines = telemetry::init();
    Ok(app::run(app::Options { source: globals.source(), ..app::Options::default() })?)
}

fn run_dev(globals: &Globals) -> Result<(), Failure> {
    let _lines = telemetry::init();
    let wanted = dev::Wanted {
        config: globals.config.clone(),
        data_dir: globals.data_dir.clone(),
        listen: globals.listen.clone(),
        env: environment(),
    };
    let running = dev::start(wanted)?;
    output::write(&running.welcome)?;
    Ok(running.server.join()?)
}

fn openapi() -> Result<(), Failure> {
    let document = http::openapi::document().to_pretty_json();
    output::line(&document.map_err(|error| Failure::other(error.to_string()))?)
}

/// Causes of failures, on standard error: what a use case logs is what the operator has to know.
fn log_quietly() {
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::WARN)
        .without_time()
        .with_target(false)
        .try_init();
}

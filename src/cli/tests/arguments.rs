//! What the command line understands, refuses and says about itself.

use crate::cli::Cli;
use clap::{CommandFactory, Parser};

fn parse(line: &str) -> Result<Cli, clap::error::ErrorKind> {
    let words = std::iter::once("usher").chain(line.split_whitespace());
    Cli::try_parse_from(words).map_err(|error| error.kind())
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_documented_shape_is_understood() {
    for line in [
        "serve",
        "serve --listen 127.0.0.1:0",
        "--config etc --data-dir var config check",
        "config show --json",
        "migrate up",
        "migrate down --steps 2",
        "migrate down --all",
        "migrate status --json",
        "token mint --sub u --email a@x.test",
        "token mint --sub u --email a@x.test --tenant acme --ttl 10m --unverified",
        "token mint --sub u --email a@x.test --no-verified-claim",
        "api-key create --email a@x.test",
        "api-key create --email a@x.test --tenant acme --name N --scopes invites:read,invites:write --expires-at 2030-01-02T03:04:05Z",
        "api-key create --service --role admin --tenant acme",
        "api-key list --json",
        "api-key revoke 01900000-0000-7000-8000-00000000acde",
        "tenant list --json",
        "member list --tenant acme --json",
        "member set-role u owner --tenant acme --workspace clinic",
        "member remove u --tenant acme",
        "invite create --tenant acme --email a@x.test",
        "invite create --tenant acme --email a@x.test --workspace w --role viewer --expires-in 2d --no-email",
        "invite list --tenant acme --json",
        "invite show 01900000-0000-7000-8000-00000000acde --json",
        "invite link 01900000-0000-7000-8000-00000000acde",
        "invite resend 01900000-0000-7000-8000-00000000acde --rotate",
        "invite revoke 01900000-0000-7000-8000-00000000acde",
        "mail list --tenant acme --state dead --json",
        "mail retry",
        "mail retry 01900000-0000-7000-8000-00000000acde",
        "mail preview --tenant acme --html",
        "mail preview 01900000-0000-7000-8000-00000000acde",
        "openapi",
        "dev --listen 127.0.0.1:0 --data-dir var",
        "doctor",
        "doctor --json --config etc",
    ] {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
    }
}

#[test]
fn what_is_missing_or_contradictory_is_wrong_usage() {
    for line in [
        "",
        "invite",
        "invite create",
        "invite create --tenant acme",
        "invite create --tenant acme --email nobody",
        "invite link nonsense",
        "token mint --sub u",
        "token mint --sub u --email a@x.test --unverified --no-verified-claim",
        "token mint --sub u --email a@x.test --ttl soon",
        "api-key create",
        "api-key create --service --tenant acme",
        "api-key create --service --role admin",
        "api-key create --service --role viewer --tenant acme",
        "api-key create --service --role admin --tenant acme --email a@x.test",
        "api-key create --email a@x.test --role admin",
        "api-key create --email a@x.test --expires-at tomorrow",
        "member set-role u",
        "member set-role u king --tenant acme",
        "migrate down --steps 0",
        "migrate sideways",
        "serve --port 1",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn help_names_each_verb_with_a_sentence_and_an_example() {
    let mut stack = vec![Cli::command()];
    while let Some(command) = stack.pop() {
        let nested: Vec<clap::Command> = command.get_subcommands().cloned().collect();
        let name = command.get_name().to_owned();
        assert!(command.get_about().is_some(), "{name} says nothing");
        if nested.is_empty() && name != "help" {
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(long.contains("Example"), "{name} has no example");
        }
        stack.extend(nested);
    }
}

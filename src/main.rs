//! The binary: everything is in the library, see `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    usher::cli::main()
}

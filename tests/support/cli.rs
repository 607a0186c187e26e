//! The built binary as an operator runs it: arguments in, exit code, standard output and standard error out.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// What a run left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Logs and errors.
    pub stderr: String,
}

impl Output {
    /// Standard output of a run that must have succeeded, without the final newline.
    #[track_caller]
    pub fn data(&self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout.trim_end_matches('\n').to_owned()
    }

    /// The JSON that a successful run printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data()).unwrap_or_else(|_| panic!("no JSON: {self:#?}"))
    }

    /// Asserts how it failed: exit code, nothing on standard output, these words, in any
    /// case, on standard error.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.stdout, "", "standard output is for data");
        for word in words {
            let found = self.stderr.to_lowercase().contains(&word.to_lowercase());
            assert!(found, "no {word:?} in {}", self.stderr);
        }
    }
}

/// The flags that name a configuration and a data directory.
pub fn places(config: &Path, data: &Path) -> Vec<String> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    vec!["--config".into(), text(config), "--data-dir".into(), text(data)]
}

/// The binary under test: the one just built, or another version of it that `USHER_BINARY` names.
pub fn binary() -> PathBuf {
    std::env::var_os("USHER_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_usher").into(), PathBuf::from)
}

/// Runs the binary in a directory, with nothing in its environment.
pub async fn usher(directory: &Path, arguments: &[&str], further: &[String]) -> Output {
    usher_with(directory, arguments, further, &[]).await
}

/// The same with environment variables.
pub async fn usher_with(
    directory: &Path,
    arguments: &[&str],
    further: &[String],
    environment: &[(&str, &str)],
) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).args(further).current_dir(directory).env_clear().stdin(Stdio::null());
    command.envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

//! The first minute with usher: what `usher dev` prints is done as it is printed, by the same shell and curl that its
//! reader has.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::support::{cli, eventually, server::free_port, setup::Scratch, skip};

/// A dev server on data of its own; killed if the test ends before it.
struct Dev {
    child: Child,
    /// What it printed when it was ready.
    welcome: String,
}

impl Dev {
    fn start(scratch: &Scratch) -> Self {
        let mut child = Command::new(cli::binary())
            .args(["dev", "--listen", &free_port().to_string(), "--data-dir"])
            .arg(scratch.path().join("data"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut dev = Self { child, welcome: String::new() };
        for line in lines.map(Result::unwrap).take_while(|line| !line.starts_with("Stop with")) {
            dev.welcome += &line;
            dev.welcome.push('\n');
        }
        dev
    }

    /// The commands below the heading that begins so, each on a line of its own.
    fn commands(&self, heading: &str) -> String {
        let below = self.welcome.lines().skip_while(|line| !line.starts_with(&format!("# {heading}")));
        below.skip(1).take_while(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
    }

    /// What the shell prints when it is given the commands below a heading.
    fn tried(&self, heading: &str) -> String {
        let commands = self.commands(heading);
        assert!(!commands.is_empty(), "{heading:?} in {}", self.welcome);
        shell(&commands)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a shell prints that has nothing of this machine's settings for curl.
fn shell(commands: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", commands])
        .env("NO_PROXY", "*")
        .env("CURL_HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{commands}: {}: {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dev_prints_works_when_it_is_pasted_into_a_shell() {
    if Command::new("curl").arg("--version").output().is_err() {
        skip("the first run", "no curl");
        return;
    }
    let scratch = Scratch::new();
    let mut dev = Dev::start(&scratch);

    let invited = dev.tried("invite alice@example.com");
    assert!(invited.contains(r#""status":"pending""#) && invited.contains("alice@example.com"), "{invited}");

    let mail = eventually("the mail", async || {
        Some(dev.tried("read the mail")).filter(|mailbox| mailbox.contains(r#""link":"#))
    })
    .await;
    let link = mail.split(r#""link":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(link.starts_with("http://acme.localhost:"), "{link}");
    assert!(shell(&format!("curl -s '{link}'")).contains("Design Studio"));

    assert!(dev.tried("accept as alice@example.com").contains(r#""accepted":true"#));
    assert!(dev.tried("accept as alice@example.com").contains("ALREADY_ACCEPTED"));
    assert!(dev.tried("let a week pass").contains(r#""offset_seconds":604800"#));

    let pid = dev.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let left = dev.child.wait().unwrap();
    assert!(left.success(), "{left}");
}

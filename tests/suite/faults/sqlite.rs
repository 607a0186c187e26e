//! SQLite: the file locked by another process, and no room on the disk.

use super::{Acknowledged, alive, flood, reads_go_on, recovered};
use crate::support::{
    Kind::Workspace, Setup, TestServer, acme_owner, both_engines, client::Answer, eventually, skip,
};

both_engines!(@on locked, Sqlite, true,
    a_file_locked_by_another_process_is_503_for_changes_alone,
    a_full_disk_is_503_for_changes_alone_and_over_when_there_is_room => Setup::new().process().smtp()
        .launched_by(&["/bin/sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
);

async fn a_file_locked_by_another_process_is_503_for_changes_alone(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let rows = server.inspect().await;
    rows.execute("BEGIN EXCLUSIVE").await;
    for _ in 0..2 {
        let (answers, slowest) = flood(&server, 10).await;
        answers.iter().for_each(Answer::come_back);
        println!("slowest of ten answers while the file is locked: {slowest:?}");
        reads_go_on(&server, &invited).await;
        alive(&server).await;
    }
    rows.execute("ROLLBACK").await;
    recovered(&server, &mut acknowledged).await;
    acknowledged.assert_kept(&server).await;
}

/// No file of the process may grow beyond this any more; that is what a full disk looks like from inside.
fn room(server: &TestServer, bytes: &str) -> bool {
    let limit = std::process::Command::new("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}:unlimited")])
        .status();
    limit.is_ok_and(|status| status.success()) || skip("a full disk", "no prlimit of util-linux")
}

async fn a_full_disk_is_503_for_changes_alone_and_over_when_there_is_room(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    for _ in 0..5 {
        acknowledged.one(&server).await;
    }
    if !room(&server, "4096") {
        return;
    }
    eventually("the disk to be full", async || (!acknowledged.try_one(&server).await).then_some(())).await;
    for _ in 0..3 {
        acknowledged.try_one(&server).await;
        reads_go_on(&server, &invited).await;
        alive(&server).await;
    }
    assert!(room(&server, "unlimited"));
    recovered(&server, &mut acknowledged).await;
    acknowledged.assert_kept(&server).await;
}

//! PostgreSQL behind a road that breaks, behind locks, without connections, read-only.

use super::{Acknowledged, alive, all_at_once_are_taken, flood, globex_goes_on, reads_go_on, recovered};
use crate::support::{
    ACME, Kind::Workspace, Setup, TestServer, acme_owner, both_engines, client::Answer, eventually,
    postgres::available, proxy::Proxy,
};

both_engines!(@on broken, Postgres, available(),
    an_outage_is_503_and_over_when_it_is_over => Setup::new().behind(Proxy::start()),
    connections_that_are_cut_are_replaced => Setup::new().behind(Proxy::start()),
    connections_gone_silent_are_given_up => Setup::new().behind(Proxy::start()),
    a_locked_tenant_is_503_and_no_other_waits_for_it,
    more_calls_than_connections_wait_or_come_back => Setup::new().server("database.max_connections", 4),
    a_read_only_database_is_503_until_it_is_writable => Setup::new().behind(Proxy::start()),
    commits_wait_for_the_disk_whatever_the_database_is_set_to
);

fn road(server: &TestServer) -> Proxy {
    server.setup.road.clone().unwrap()
}

async fn an_outage_is_503_and_over_when_it_is_over(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    acknowledged.one(&server).await;
    road(&server).cut();
    for _ in 0..3 {
        assert!(!acknowledged.try_one(&server).await);
        alive(&server).await;
    }
    assert_eq!(server.admin("/readyz").await.status, 503);
    let (answers, slowest) = flood(&server, 30).await;
    answers.iter().for_each(Answer::come_back);
    println!("slowest of thirty answers in an outage: {slowest:?}");
    road(&server).mend();
    recovered(&server, &mut acknowledged).await;
    acknowledged.assert_kept(&server).await;
}

async fn connections_that_are_cut_are_replaced(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    for round in 0..8 {
        // written to while it happens
        let cut = async {
            tokio::time::sleep(std::time::Duration::from_millis(5 * round)).await;
            road(&server).disconnect();
        };
        let writing = async {
            for _ in 0..5 {
                acknowledged.try_one(&server).await;
            }
        };
        tokio::join!(cut, writing);
    }
    recovered(&server, &mut acknowledged).await;
    acknowledged.assert_kept(&server).await;
}

async fn connections_gone_silent_are_given_up(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    // more than one connection is open by then
    all_at_once_are_taken(&server, 20).await;
    road(&server).silence();
    let since = std::time::Instant::now();
    recovered(&server, &mut acknowledged).await;
    println!("recovered from silent connections after {:?}", since.elapsed());
    // no connection is lost for good
    all_at_once_are_taken(&server, 20).await;
    acknowledged.assert_kept(&server).await;
}

async fn a_locked_tenant_is_503_and_no_other_waits_for_it(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    acknowledged.one(&server).await;
    let rows = server.inspect().await;
    rows.execute("BEGIN").await;
    let lock = format!(
        "SELECT count(*) AS n FROM (SELECT 1 FROM tenants WHERE id = {} FOR UPDATE) AS held",
        rows.id(ACME)
    );
    assert_eq!(rows.count(&lock).await, 1);
    for at in 0..3 {
        let (answers, slowest) = flood(&server, 10).await;
        answers.iter().for_each(Answer::come_back);
        println!("slowest of ten answers while locked: {slowest:?}");
        globex_goes_on(&server, at).await;
        server.get(&Workspace.collection()).by(&acme_owner()).patiently().await.expect(200);
    }
    rows.execute("ROLLBACK").await;
    recovered(&server, &mut acknowledged).await;
    acknowledged.assert_kept(&server).await;
}

async fn more_calls_than_connections_wait_or_come_back(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    let rows = server.inspect().await;
    rows.execute("BEGIN").await;
    let lock = "SELECT count(*) AS n FROM (SELECT 1 FROM tenants FOR UPDATE) AS held";
    assert_eq!(rows.count(lock).await, 2);
    let (answers, slowest) = flood(&server, 100).await;
    answers.iter().for_each(Answer::come_back);
    println!("slowest of a hundred answers with four connections, all tenants locked: {slowest:?}");
    alive(&server).await;
    rows.execute("ROLLBACK").await;
    recovered(&server, &mut acknowledged).await;
    let (answers, _) = flood(&server, 100).await;
    answers.iter().filter(|answer| answer.status != 201).for_each(Answer::come_back);
    acknowledged.assert_kept(&server).await;
}

async fn a_read_only_database_is_503_until_it_is_writable(server: TestServer) {
    let mut acknowledged = Acknowledged::default();
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let rows = server.inspect().await;
    let name = server.database_url().rsplit('/').next().unwrap().to_owned();
    rows.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    road(&server).disconnect();
    eventually("the first refusal", async || (!acknowledged.try_one(&server).await).then_some(())).await;
    // each connection that was cut costs one call
    for _ in 0..8 {
        assert!(!acknowledged.try_one(&server).await);
    }
    for _ in 0..3 {
        assert!(!acknowledged.try_one(&server).await);
        reads_go_on(&server, &invited).await;
    }
    // sessions opened meanwhile stay read-only as long as they live
    rows.execute("SET default_transaction_read_only = off").await;
    rows.execute(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    recovered(&server, &mut acknowledged).await;
    acknowledged.assert_kept(&server).await;
}

async fn commits_wait_for_the_disk_whatever_the_database_is_set_to(mut server: TestServer) {
    server.stop();
    let rows = server.inspect().await;
    let name = server.database_url().rsplit('/').next().unwrap().to_owned();
    rows.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    // every session that writes an invite leaves its own setting behind
    rows.execute("CREATE TABLE noted (setting TEXT)").await;
    rows.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO noted VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$",
    )
    .await;
    rows.execute(
        "CREATE TRIGGER noting AFTER INSERT OR UPDATE ON invites FOR EACH ROW EXECUTE FUNCTION note()",
    )
    .await;
    let other = server.inspect().await;
    assert_eq!(other.texts("SELECT current_setting('synchronous_commit') AS t").await, ["off"]);
    for (setting, wanted) in [("off", "on"), ("remote_apply", "remote_apply")] {
        rows.execute(&format!("ALTER DATABASE {name} SET synchronous_commit = {setting}")).await;
        rows.execute("DELETE FROM noted").await;
        server.serve();
        all_at_once_are_taken(&server, 8).await;
        let noted = rows.texts("SELECT DISTINCT setting AS t FROM noted").await;
        assert_eq!(noted, [wanted], "set to {setting}");
        server.stop();
    }
}

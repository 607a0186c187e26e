//! What the machine may withhold: a log that nobody reads, file descriptors, a database that is none of ours.

use std::net::TcpStream;

use serde_json::json;

use crate::support::{
    Engine,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, eventually,
};

both_engines!(
    a_log_that_nobody_reads_holds_up_nobody => Setup::new().logging("debug")
        .launched_by(&["/bin/sh", "-c", "mkfifo log; exec \"$0\" \"$@\" 2<>log"]),
    without_file_descriptors_calls_wait_and_life_goes_on_afterwards => Setup::new().process()
        .launched_by(&["/bin/sh", "-c", "ulimit -n 160; exec \"$0\" \"$@\""]),
    a_database_that_is_none_of_ours_is_left_alone,
);

async fn a_log_that_nobody_reads_holds_up_nobody(mut server: TestServer) {
    // far more lines than a pipe holds
    for at in 0..60 {
        let invited = server.invite(Org, &acme_owner(), &format!("bob{at}@example.com"), "member").await;
        for _ in 0..20 {
            server.preview(&invited).await.expect(200);
        }
    }
    assert_eq!(server.admin("/readyz").await.status, 200);
    assert_eq!(server.terminate(), Some(0), "and it ends all the same");
}

async fn without_file_descriptors_calls_wait_and_life_goes_on_afterwards(mut server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let idle: Vec<_> = (0..250).filter_map(|_| TcpStream::connect(server.addr()).ok()).collect();
    assert!(idle.len() > 160, "more than it may open");
    // whoever comes now is answered when silent ones have been let go
    server.preview(&invited).await.expect(200);
    drop(idle);
    eventually("changes to be taken", async || {
        let body = json!({ "email": "carl@example.com" });
        let answer = server.post(&Workspace.collection(), &body).by(&acme_owner()).await;
        (answer.status == 201).then_some(())
    })
    .await;
    assert_eq!(server.terminate(), Some(0));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

async fn a_database_that_is_none_of_ours_is_left_alone(server: TestServer) {
    let foreign = TestServer::prepared_without_schema(server.engine, Setup::new());
    if foreign.engine == Engine::Sqlite {
        let file = foreign.data_dir().join("usher.db");
        std::fs::create_dir_all(foreign.data_dir()).unwrap();
        let letters = "a letter to the editor, not a database\n".repeat(200);
        std::fs::write(&file, &letters).unwrap();
        for command in ["serve", "migrate"] {
            let arguments: &[&str] = if command == "migrate" { &["migrate", "up"] } else { &["serve"] };
            foreign.cli(arguments).await.failed(4, &["database"]);
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), letters, "as it was");
        std::fs::remove_file(&file).unwrap();
        let _ = std::fs::File::create(&file).unwrap();
    }
    // somebody else's table where one of ours should be: nothing of ours is made around it
    let rows = foreign.inspect().await;
    rows.execute("CREATE TABLE invites (theirs INTEGER)").await;
    rows.execute("INSERT INTO invites (theirs) VALUES (1)").await;
    let refused = foreign.cli(&["serve"]).await;
    assert!([Some(1), Some(4)].contains(&refused.code), "{refused:?}");
    assert!(refused.stderr.contains("invites"), "{refused:?}");
    let ours = match foreign.engine {
        Engine::Sqlite => {
            "SELECT count(*) AS n FROM sqlite_master WHERE name IN ('tenants', 'users', 'events')"
        }
        Engine::Postgres => {
            "SELECT count(*) AS n FROM pg_tables WHERE tablename IN ('tenants', 'users', 'events')"
        }
    };
    assert_eq!(rows.count(ours).await, 0, "all of the schema or nothing");
    assert_eq!(rows.count("SELECT count(*) AS n FROM invites WHERE theirs = 1").await, 1);
}

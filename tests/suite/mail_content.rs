//! What a mail says: the link alone on its line, whose invitation it is and for whom; the tenant's own sender
//! and looks; and nothing of what names may try to smuggle in.

use serde_json::json;

use crate::support::{
    ACME_HOST, Engine,
    Kind::{Org, Workspace},
    Setup, TestServer, acme_owner, both_engines, globex_owner,
    invites::KINDS,
    people::Credential,
    smtp_sink::Letter,
};

both_engines!(
    the_text_part_names_everything_and_holds_the_link_alone_on_its_line => Setup::new().smtp(),
    the_html_part_is_complete_and_loads_nothing => Setup::new().smtp(),
    a_mail_carries_the_tenants_sender_and_its_own_id => Setup::new().smtp(),
    a_mail_of_a_tenant_without_a_sender_comes_from_the_server => Setup::new().smtp(),
    a_personal_message_is_text_and_nothing_else => Setup::new().smtp(),
    control_characters_are_refused_where_they_come_in,
    control_characters_of_an_issuer_reach_no_header => Setup::new().smtp(),
    control_characters_in_the_database_reach_no_header_and_stop_nobody => Setup::new().smtp(),
    markup_in_names_stays_text => Setup::new().smtp(),
    a_name_that_passes_for_a_link_is_refused_or_broken_up => Setup::new().smtp(),
    a_line_of_a_dot_ends_no_mail => Setup::new().smtp(),
    mails_can_be_files => Setup::new().server("mail.transport", "file"),
);

/// The header lines of a mail as they crossed the wire, unfolded.
fn headers(letter: &Letter) -> Vec<String> {
    let raw = String::from_utf8_lossy(&letter.raw).replace("\r\n ", " ").replace("\r\n\t", " ");
    let (head, _) = raw.split_once("\r\n\r\n").unwrap();
    head.lines().map(str::to_owned).collect()
}

/// The value of a header that must be there exactly once.
#[track_caller]
fn header(letter: &Letter, name: &str) -> String {
    let start = format!("{}:", name.to_lowercase());
    let found: Vec<_> =
        headers(letter).into_iter().filter(|h| h.to_lowercase().starts_with(&start)).collect();
    assert_eq!(found.len(), 1, "{name} in {:?}", headers(letter));
    found[0][start.len()..].trim().to_owned()
}

async fn the_text_part_names_everything_and_holds_the_link_alone_on_its_line(server: TestServer) {
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com").to_lowercase();
        let invited = server.invite(kind, &acme_owner(), &email, "admin").await;
        let letter = server.letters_to(&email, 1).await.remove(0);
        let alone: Vec<&str> =
            letter.text.lines().filter(|line| line.contains("://")).map(str::trim_end).collect();
        assert!(alone.contains(&invited.url.as_str()), "{}", letter.text);
        let links = letter.text.matches("invites/").count();
        assert_eq!(links, 1, "once, and no other URL that looks like one: {}", letter.text);
        assert!(letter.text.contains(&email), "{}", letter.text);
        assert!(letter.text.contains("Acme Corp"), "{}", letter.text);
        if kind == Workspace {
            assert!(letter.text.contains("Dr. Smith Clinic"), "{}", letter.text);
        }
        assert!(!letter.subject.is_empty() && !letter.subject.contains("eyJ"));
    }
}

async fn the_html_part_is_complete_and_loads_nothing(server: TestServer) {
    let invited = server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let letter = server.letters_to("bob@example.com", 1).await.remove(0);
    let html = &letter.html;
    assert!(html.contains(&invited.url), "{html}");
    for word in ["bob@example.com", "Acme Corp", "Dr. Smith Clinic", "#0a7d5a"] {
        assert!(html.contains(word), "{word} in {html}");
    }
    let lower = html.to_lowercase();
    for what in ["<script", "<iframe", "<form", "onerror", "@import", "url(http"] {
        assert!(!lower.contains(what), "{what} in {html}");
    }
    for url in lower.split("src=\"").skip(1) {
        assert!(url.starts_with("cid:") || url.starts_with(&format!("https://{ACME_HOST}/")), "{url}");
    }
}

async fn a_mail_carries_the_tenants_sender_and_its_own_id(server: TestServer) {
    server.invite(Workspace, &acme_owner(), "bob@example.com", "member").await;
    let letter = server.letters_to("bob@example.com", 1).await.remove(0);
    assert_eq!(header(&letter, "From").replace('"', ""), "Acme Corp <invites@acme.test>");
    assert!(header(&letter, "Reply-To").contains("help@acme.test"));
    assert!(header(&letter, "To").contains("bob@example.com"));
    assert!(header(&letter, "Message-ID").starts_with('<'));
    assert!(!header(&letter, "Date").is_empty());
    assert_eq!(header(&letter, "Auto-Submitted"), "auto-generated");
    assert!(header(&letter, "Content-Type").starts_with("multipart/alternative"));
    let raw = String::from_utf8_lossy(&letter.raw).into_owned();
    assert!(raw.lines().all(|line| line.len() <= 998), "no line beyond what mail allows");
    assert_eq!(raw.matches('\n').count(), raw.matches("\r\n").count(), "every line ends in CRLF");
}

async fn a_mail_of_a_tenant_without_a_sender_comes_from_the_server(server: TestServer) {
    server.invite_to_globex(Org, "bob@example.com").await;
    let letter = server.letters_to("bob@example.com", 1).await.remove(0);
    assert!(header(&letter, "From").contains("no-reply@example.test"));
    assert!(letter.text.contains("Globex") && !letter.text.contains("Acme"));
}

async fn a_personal_message_is_text_and_nothing_else(server: TestServer) {
    let message = "Welcome <b>Bob</b> & co.\nSee you on Monday";
    let body = json!({ "email": "bob@example.com", "message": message });
    server.invite_with(Workspace, &acme_owner(), body).await;
    let letter = server.letters_to("bob@example.com", 1).await.remove(0);
    assert!(letter.text.contains("Welcome <b>Bob</b> & co."), "{}", letter.text);
    assert!(letter.text.contains("See you on Monday"));
    assert!(letter.html.contains("Welcome &lt;b&gt;Bob&lt;"), "{}", letter.html);
    assert!(!letter.html.contains("<b>Bob"));
}

async fn control_characters_are_refused_where_they_come_in(server: TestServer) {
    let owner = acme_owner();
    for bad in ["\r\nBcc: spy@evil.test", "\nX: y", "\0", "\u{7f}", "\u{202e}", "\u{2066}"] {
        let body = json!({ "name": format!("Clinic{bad}") });
        server.post("/api/v1/workspaces", &body).by(&owner).await.refused(422, "VALIDATION_ERROR");
        let body = json!({ "email": format!("bob@example.com{bad}") });
        for kind in KINDS {
            server.post(&kind.collection(), &body).by(&owner).await.refused(422, "VALIDATION_ERROR");
        }
    }
    let body = json!({ "name": "\u{5de}\u{5e8}\u{5e4}\u{5d0}\u{5d4} \u{645}\u{631}\u{62d}\u{628}\u{627}" });
    server.post("/api/v1/workspaces", &body).by(&owner).await.expect(201);
    assert!(server.letters().is_empty());
    for (key, value) in [
        ("name", "Acme\r\nBcc: spy@evil.test"),
        ("mail.from", "Acme\r\nBcc: spy@evil.test <invites@acme.test>"),
        ("mail.reply_to", "help@acme.test\r\nBcc: spy@evil.test"),
    ] {
        let mut other = TestServer::prepared(Engine::Sqlite, Setup::new());
        other.setup = other.setup.clone().acme(key, value);
        other.configure();
        other.cli(&["config", "check"]).await.failed(3, &["acme.toml", key.rsplit('.').next().unwrap()]);
    }
}

/// Fails if any mail has a recipient or header that it should not have.
fn assert_clean(server: &TestServer) {
    let sink = server.setup.sink.as_ref().unwrap();
    assert!(sink.asked().iter().all(|address| !address.contains("evil.test")), "{:?}", sink.asked());
    for letter in sink.letters() {
        for line in headers(&letter) {
            let name = line.split(':').next().unwrap_or_default().to_lowercase();
            assert!(!["bcc", "cc", "x-evil"].contains(&name.as_str()), "{line}");
        }
        let subjects = headers(&letter).iter().filter(|h| h.to_lowercase().starts_with("subject:")).count();
        assert_eq!(subjects, 1);
    }
}

async fn control_characters_of_an_issuer_reach_no_header(server: TestServer) {
    let evil = acme_owner().with("name", "Eve\r\nBcc: spy@evil.test\r\nX-Evil: 1\r\n\r\nBody");
    for kind in KINDS {
        let body = json!({ "email": format!("bob-{kind:?}@example.com") });
        let answer = server.post(&kind.collection(), &body).by(&evil).await;
        assert_eq!(answer.status, 201, "a name is no reason to refuse: {}", answer.text());
        server.letters_to(&format!("bob-{kind:?}@example.com"), 1).await;
    }
    assert_clean(&server);
}

async fn control_characters_in_the_database_reach_no_header_and_stop_nobody(server: TestServer) {
    let made =
        server.post("/api/v1/workspaces", &json!({ "name": "Plain" })).by(&acme_owner()).await.expect(201);
    let id = made["id"].as_str().unwrap();
    let rows = server.inspect().await;
    let (cr, lf) = match server.engine {
        Engine::Sqlite => ("char(13)", "char(10)"),
        Engine::Postgres => ("chr(13)", "chr(10)"),
    };
    let evil = format!("'Evil' || {cr} || {lf} || 'Bcc: spy@evil.test' || {cr} || {lf} || 'X-Evil: 1'");
    rows.execute(&format!("UPDATE workspaces SET name = {evil} WHERE id = {}", rows.id(id))).await;
    rows.execute(&format!("UPDATE users SET name = {evil}")).await;
    // at the head of the queue
    let body = json!({ "email": "first@example.com" });
    server.post(&Workspace.collection_in(id), &body).by(&acme_owner()).await.expect(201);
    server.invite(Workspace, &acme_owner(), "second@example.com", "member").await;
    server.invite_to_globex(Org, "third@example.com").await;
    server.letters_to("second@example.com", 1).await;
    server.letters_to("third@example.com", 1).await;
    assert_clean(&server);
    server.get(&Org.globex_collection()).by(&globex_owner()).await.expect(200);
}

async fn markup_in_names_stays_text(server: TestServer) {
    let name = "</h2><a href=//x>{{7*7}}";
    let answer = server.post("/api/v1/workspaces", &json!({ "name": name })).by(&acme_owner()).await;
    if answer.status != 201 {
        answer.refused(422, "VALIDATION_ERROR");
        return;
    }
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let body = json!({ "email": "bob@example.com" });
    server.post(&Workspace.collection_in(&id), &body).by(&acme_owner()).await.expect(201);
    let letter = server.letters_to("bob@example.com", 1).await.remove(0);
    assert!(!letter.html.contains("<a href=//x>") && !letter.html.contains("</h2><a"), "{}", letter.html);
    assert!(letter.text.contains(name), "literally: {}", letter.text);
}

async fn a_line_of_a_dot_ends_no_mail(server: TestServer) {
    let message = "before\n.\nMAIL FROM:<spy@evil.test>\nRCPT TO:<spy@evil.test>\nDATA\nafter";
    let body = json!({ "email": "bob@example.com", "message": message });
    let answer = server.post(&Workspace.collection(), &body).by(&acme_owner()).await;
    if answer.status == 201 {
        let letter = server.letters_to("bob@example.com", 1).await.remove(0);
        assert!(letter.text.contains("after") && letter.text.contains("RCPT TO"), "{}", letter.text);
    }
    server.invite(Workspace, &acme_owner(), "next@example.com", "member").await;
    server.letters_to("next@example.com", 1).await;
    assert_clean(&server);
}

async fn mails_can_be_files(mut server: TestServer) {
    let dir = server.dir().join("letters");
    server.stop();
    server.setup = server.setup.clone().server("mail.dir", dir.to_str().unwrap());
    server.configure();
    server.serve();
    let jwt = acme_owner().bearer();
    let invited = server.invite(Workspace, &jwt, "bob@example.com", "member").await;
    let file = crate::support::eventually("a file", async || {
        let entries: Vec<_> = std::fs::read_dir(&dir).ok()?.flatten().map(|entry| entry.path()).collect();
        entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "eml"))
    })
    .await;
    let raw = std::fs::read(file).unwrap();
    let letter = crate::support::smtp_sink::parse("bob@example.com", &raw);
    assert_eq!(letter.link, invited.url);
    let sent = crate::support::eventually("the delivery state", async || {
        let data = server.show(&invited, &jwt).await.expect(200)["data"].clone();
        (data["delivery"] == "sent").then_some(())
    });
    sent.await;
}

async fn a_name_that_passes_for_a_link_is_refused_or_broken_up(server: TestServer) {
    let owner = acme_owner();
    let made = server.post("/api/v1/workspaces", &json!({ "name": "Plain" })).by(&owner).await.expect(201);
    let path = format!("/api/v1/workspaces/{}", made["id"].as_str().unwrap());
    for bad in ["Win at https://evil.test", "HTTP://EVIL.test", "www.evil.test", "ftp://evil.test now"] {
        let body = json!({ "name": bad });
        server.post("/api/v1/workspaces", &body).by(&owner).await.refused(422, "VALIDATION_ERROR");
        server.patch(&path, &body).by(&owner).await.refused(422, "VALIDATION_ERROR");
    }
    for kind in KINDS {
        let body = json!({ "email": "bob@example.com", "message": "Win at HTTPS://evil.test" });
        server.post(&kind.collection(), &body).by(&owner).await.refused(422, "VALIDATION_ERROR");
    }
    // names that are somebody else's to check, and messages, which may speak of a host
    let spammer = owner.clone().with("name", "Claim your prize at evil.test/now, visit www.evil.test");
    for kind in KINDS {
        let email = format!("bob-{kind:?}@example.com");
        let body = json!({ "email": email, "role": "member", "message": "Look at www.evil.test/now" });
        server.post(&kind.collection(), &body).by(&spammer).await.expect(201);
        let letter = server.letters_to(&email, 1).await.remove(0);
        for part in [&letter.subject, &letter.text, &letter.html] {
            assert!(!part.contains("evil.test"), "{part}");
        }
        assert!(letter.text.contains("evil[.]test"), "{}", letter.text);
        assert!(!letter.subject.contains("prize"), "a subject holds no person's name: {}", letter.subject);
    }
}

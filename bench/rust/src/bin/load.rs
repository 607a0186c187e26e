//! A closed-loop HTTP/1.1 load client: so many connections, each of which sends its next request when it has the
//! last answer. All requests, addresses and signed credentials are made before the clock starts.
//!
//! `load create …` creates invites; `load accept …` creates as many first, unmeasured, and accepts each by its own
//! person. Prints one JSON object. One thread on purpose: pin it to a core; above 0.9 of `client_cpu` the client is
//! the limit.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{LocalSet, spawn_local},
};
use usher_bench::{Flags, fail, processor_seconds};

/// Connections that prepare what is not measured.
const PREPARING: usize = 64;

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let flags = Flags::after(1);
    let bench = Bench {
        addr: flags.text("addr").to_owned(),
        secret: flags.text("secret").to_owned(),
        workspaces: flags.text("workspaces").split(',').map(str::to_owned).collect(),
        mails: flags.yes("mails"),
        run: now().as_nanos(),
        expires: now().as_secs() + 3600,
    };
    let (count, connections) = (flags.number("count"), flags.number("connections"));
    let limit = Duration::from_secs_f64(flags.number("seconds"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = LocalSet::new().block_on(&runtime, async {
        // owners are recognised by the first request to their tenant, which is not what is measured
        let first: Vec<Vec<u8>> = (0..bench.workspaces.len()).map(|at| bench.create("first", at, false)).collect();
        bench.all_created(first, 1).await;
        match what.as_str() {
            "create" => {
                let requests = (0..count).map(|at| bench.create("create", at, bench.mails)).collect();
                drive(&bench.addr, requests, connections, limit, false).await
            }
            "accept" => {
                let creates = (0..count).map(|at| bench.create("accept", at, false)).collect();
                let made = bench.all_created(creates, PREPARING).await;
                let requests = made.iter().map(|body| bench.accept(body)).collect();
                drive(&bench.addr, requests, connections, limit, false).await
            }
            _ => fail("load create|accept --addr HOST:PORT --secret TEXT --workspaces ID,… --count N --connections N --seconds S [--mails yes]"),
        }
    });
    println!("{}", report.json());
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// What requests are made of.
struct Bench {
    addr: String,
    secret: String,
    workspaces: Vec<String>,
    mails: bool,
    run: u128,
    expires: u64,
}

impl Bench {
    /// Creates an invite of an address of its own, by a token of its own, in the workspaces by turns.
    fn create(&self, kind: &str, at: usize, mail: bool) -> Vec<u8> {
        let email = format!("{kind}-{at}-{}@example.test", self.run);
        let owner = self.token("bench-owner", "owner@bench.test", &format!("{kind}-{at}"));
        let body = json!({ "email": email, "role": "member", "send_email": mail }).to_string();
        let workspace = &self.workspaces[at % self.workspaces.len()];
        self.post(&format!("/api/v1/workspaces/{workspace}/invites"), &owner, &body)
    }

    /// Accepts what a create answered, by the person it was made for.
    fn accept(&self, created: &str) -> Vec<u8> {
        let answer: Value = serde_json::from_str(created).unwrap();
        let text = |name: &str| answer["data"][name].as_str().unwrap_or_else(|| fail(created));
        let email = text("email");
        let token = text("invite_url").rsplit('/').next().unwrap_or_default();
        let person = self.token(email.split('@').next().unwrap_or_default(), email, token);
        self.post(&format!("/api/v1/workspace-invites/{token}/accept"), &person, "{}")
    }

    fn token(&self, subject: &str, email: &str, id: &str) -> String {
        let claims = json!({
            "iss": "https://auth.bench.test", "aud": "usher", "sub": subject, "email": email,
            "email_verified": true, "exp": self.expires, "jti": format!("{id}-{}", self.run),
        });
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn post(&self, path: &str, token: &str, body: &str) -> Vec<u8> {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.addr,
            body.len()
        )
        .into_bytes()
    }

    /// Sends creates that are not measured, all of which must end well, and gives their answers.
    async fn all_created(&self, requests: Vec<Vec<u8>>, connections: usize) -> Vec<String> {
        let wanted = requests.len();
        let report = drive(&self.addr, requests, connections, Duration::from_secs(300), true).await;
        if report.statuses.get(&201) != Some(&wanted) {
            fail(&format!("preparing {wanted} invites: {}", report.json()))
        }
        report.bodies
    }
}

/// What came of a run.
#[derive(Default)]
struct Report {
    micros: Vec<u32>,
    statuses: BTreeMap<u16, usize>,
    broken: usize,
    bodies: Vec<String>,
    refusal: Option<String>,
    seconds: f64,
    processor: f64,
}

impl Report {
    fn json(&self) -> Value {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        let at = |share: f64| micros.get((micros.len() as f64 * share) as usize).or(micros.last()).copied();
        let good: usize = self.statuses.range(200..300).map(|(_, count)| count).sum();
        json!({
            "good": good, "good_per_second": good as f64 / self.seconds, "statuses": self.statuses,
            "broken": self.broken, "p50_us": at(0.50), "p99_us": at(0.99), "max_us": micros.last(),
            "seconds": self.seconds, "client_cpu": self.processor / self.seconds, "refusal": self.refusal,
        })
    }
}

struct Run {
    addr: String,
    requests: Vec<Vec<u8>>,
    next: Cell<usize>,
    until: Instant,
    keep_bodies: bool,
    report: RefCell<Report>,
}

/// Sends each request once, until they are used up or the time is.
async fn drive(
    addr: &str,
    requests: Vec<Vec<u8>>,
    connections: usize,
    limit: Duration,
    keep_bodies: bool,
) -> Report {
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(connect(addr).await);
    }
    let (begun, processor) = (Instant::now(), processor_seconds());
    let run = Rc::new(Run {
        addr: addr.to_owned(),
        requests,
        next: Cell::new(0),
        until: begun + limit,
        keep_bodies,
        report: RefCell::default(),
    });
    let tasks: Vec<_> =
        streams.into_iter().map(|stream| spawn_local(connection(run.clone(), stream))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut report = run.report.take();
    report.seconds = begun.elapsed().as_secs_f64();
    report.processor = processor_seconds() - processor;
    report
}

async fn connect(addr: &str) -> TcpStream {
    let stream = TcpStream::connect(addr).await.unwrap_or_else(|error| fail(&format!("{addr}: {error}")));
    stream.set_nodelay(true).unwrap();
    stream
}

async fn connection(run: Rc<Run>, mut stream: TcpStream) {
    let mut buffer = Vec::with_capacity(8192);
    loop {
        let at = run.next.get();
        let Some(request) = run.requests.get(at).filter(|_| Instant::now() < run.until) else { return };
        run.next.set(at + 1);
        let begun = Instant::now();
        match exchange(&mut stream, request, &mut buffer).await {
            Some((status, body)) => {
                let mut report = run.report.borrow_mut();
                report.micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
                *report.statuses.entry(status).or_default() += 1;
                let text = || String::from_utf8_lossy(&buffer[body]).into_owned();
                if run.keep_bodies {
                    report.bodies.push(text());
                } else if status >= 300 && report.refusal.is_none() {
                    report.refusal = Some(text());
                }
            }
            None => {
                run.report.borrow_mut().broken += 1;
                stream = connect(&run.addr).await;
            }
        }
    }
}

/// Status and place of the body in the buffer; nothing if the connection broke.
async fn exchange(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Option<(u16, std::ops::Range<usize>)> {
    stream.write_all(request).await.ok()?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end]).ok()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let body = end + 4..end + 4 + length.unwrap_or(0);
        if buffer.len() >= body.end {
            return Some((head.get(9..12)?.parse().ok()?, body));
        }
    }
}

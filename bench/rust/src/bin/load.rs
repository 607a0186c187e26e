//! An HTTP/1.1 load client for requests that were made before: every byte of them is in a file, so the clock sees
//! nothing but sending and receiving.
//!
//! Closed loop: so many connections, each of which sends the next request when it has the last answer. Open loop
//! (`--rate`): request `i` is due at `i / rate` whatever the server does, and its latency counts from then, so that
//! a stall shows in the percentiles instead of slowing the clock. Prints one JSON object. One thread on purpose: pin
//! it to a core; above 0.9 of `client_cpu` the client is the limit.
//!
//! `--addr` may list several servers, between which the connections are divided. The file holds requests one after
//! another: `<group> <length>\n` and so many bytes.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io::{BufWriter, Write},
    ops::Range,
    rc::Rc,
    time::{Duration, Instant},
};

use memchr::memmem;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{LocalSet, spawn_local},
};
use usher_bench::{Flags, fail, processor_seconds};

/// A timer is good to a millisecond; what is left of a wait is spent yielding.
const TIMER: Duration = Duration::from_millis(2);
/// Pause before a connection that was refused is tried again.
const PAUSE: Duration = Duration::from_millis(5);

fn main() {
    let flags = Flags::after(0);
    let (groups, requests) = read(flags.text("file"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = LocalSet::new().block_on(&runtime, drive(&flags, groups, requests));
    println!("{report}");
}

// -- requests ------------------------------------------------------------------------------------------------------

struct Request {
    group: usize,
    bytes: Range<usize>,
}

struct Requests {
    file: Vec<u8>,
    all: Vec<Request>,
}

fn read(path: &str) -> (Vec<String>, Requests) {
    let file = std::fs::read(path).unwrap_or_else(|error| fail(&format!("{path}: {error}")));
    let (mut groups, mut all, mut at) = (Vec::<String>::new(), Vec::new(), 0);
    while at < file.len() {
        let head =
            memchr::memchr(b'\n', &file[at..]).and_then(|end| std::str::from_utf8(&file[at..at + end]).ok());
        let Some((name, length)) = head.and_then(|head| head.split_once(' ')) else {
            fail(&format!("{path}: no request at {at}"))
        };
        let begin = at + name.len() + 1 + length.len() + 1;
        at = begin + length.parse::<usize>().unwrap_or_else(|_| fail(&format!("{path}: no length at {at}")));
        let group = groups.iter().position(|known| known == name).unwrap_or_else(|| {
            groups.push(name.to_owned());
            groups.len() - 1
        });
        all.push(Request { group, bytes: begin..at });
    }
    if all.is_empty() {
        fail(&format!("{path}: no requests"))
    }
    (groups, Requests { file, all })
}

// -- the loop ------------------------------------------------------------------------------------------------------

struct Run {
    requests: Requests,
    next: Cell<usize>,
    /// whether the requests are sent round and round
    repeat: bool,
    rate: Option<f64>,
    begun: Instant,
    until: Instant,
    seen: RefCell<Seen>,
}

/// What has come back so far.
#[derive(Default)]
struct Seen {
    /// microseconds by group and status
    micros: BTreeMap<(usize, u16), Vec<u32>>,
    /// the first body of every status that is no success
    refusals: BTreeMap<u16, String>,
    /// answers 429 and 503 that do not say when to come again
    mute: usize,
    broken: usize,
    bytes: usize,
    answers: Option<BufWriter<std::fs::File>>,
}

async fn drive(flags: &Flags, groups: Vec<String>, requests: Requests) -> Value {
    let addrs: Vec<String> = flags.text("addr").split(',').map(str::to_owned).collect();
    let mut streams = Vec::new();
    for addr in addrs.iter().cycle().take(flags.number("connections")) {
        let stream = connect(addr).await.unwrap_or_else(|| fail(&format!("{addr} does not answer")));
        streams.push((addr.clone(), stream));
    }
    let create = |path| BufWriter::new(std::fs::File::create(path).unwrap_or_else(|_| fail("--answers")));
    let seen = Seen { answers: flags.find("answers").map(create), ..Seen::default() };
    let (begun, processor) = (Instant::now(), processor_seconds());
    let run = Rc::new(Run {
        requests,
        next: Cell::new(0),
        repeat: flags.yes("repeat"),
        rate: flags.find("rate").map(|_| flags.number("rate")),
        begun,
        until: begun + Duration::from_secs_f64(flags.number("seconds")),
        seen: RefCell::new(seen),
    });
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|(addr, stream)| spawn_local(connection(run.clone(), addr, Some(stream))))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let mut seen = run.seen.take();
    if let Some(answers) = &mut seen.answers {
        answers.flush().unwrap();
    }
    seen.report(&groups, seconds, processor_seconds() - processor)
}

impl Run {
    /// The next request and when its latency begins; nothing when the requests or the time are used up.
    async fn next(&self) -> Option<(&Request, Instant)> {
        let at = self.next.get();
        let request = if self.repeat {
            self.requests.all.get(at % self.requests.all.len())
        } else {
            self.requests.all.get(at)
        }?;
        self.next.set(at + 1);
        let due = match self.rate {
            Some(rate) => self.begun + Duration::from_secs_f64(at as f64 / rate),
            None => Instant::now(),
        };
        if due >= self.until {
            return None;
        }
        if self.rate.is_some() {
            reach(due).await;
        }
        Some((request, due))
    }
}

async fn reach(due: Instant) {
    if due > Instant::now() + TIMER {
        tokio::time::sleep_until((due - TIMER).into()).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

async fn connect(addr: &str) -> Option<TcpStream> {
    let stream = TcpStream::connect(addr).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

async fn connection(run: Rc<Run>, addr: String, mut stream: Option<TcpStream>) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    while let Some((request, due)) = run.next().await {
        let bytes = &run.requests.file[request.bytes.clone()];
        let mut answer = sent(&addr, &mut stream, bytes, &mut buffer).await;
        // no answer to this request: the server had given up waiting for the first one on this connection
        if answer.as_ref().is_some_and(|answer| answer.status == 408) {
            stream = None;
            answer = sent(&addr, &mut stream, bytes, &mut buffer).await;
        }
        match answer {
            Some(answer) => {
                let micros = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
                run.seen.borrow_mut().note(request.group, micros, &answer, &buffer);
                if answer.last {
                    stream = None;
                }
            }
            None => {
                run.seen.borrow_mut().broken += 1;
                stream = None;
            }
        }
    }
}

/// The answer to a request over a connection, made anew if there is none.
async fn sent(
    addr: &str,
    stream: &mut Option<TcpStream>,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Option<Answer> {
    if stream.is_none() {
        *stream = connect(addr).await;
    }
    match stream {
        Some(open) => exchange(open, request, buffer).await,
        None => {
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

// -- answers -------------------------------------------------------------------------------------------------------

struct Answer {
    status: u16,
    body: Range<usize>,
    /// whether the server closes the connection
    last: bool,
    /// whether it says when to come again
    again: bool,
}

/// The answer, whose bytes are then in the buffer; nothing if the connection broke.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Option<Answer> {
    stream.write_all(request).await.ok()?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        if let Some(answer) = parse(buffer) {
            return Some(answer);
        }
    }
}

/// The answer, once all of it is there.
fn parse(buffer: &[u8]) -> Option<Answer> {
    let end = memmem::find(buffer, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&buffer[..end]).ok()?;
    let (mut length, mut chunked, mut last, mut again) = (0, false, false, false);
    for (name, value) in head.split("\r\n").filter_map(|line| line.split_once(": ")) {
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
            17 if name.eq_ignore_ascii_case("transfer-encoding") => chunked = value == "chunked",
            10 if name.eq_ignore_ascii_case("connection") => last = value == "close",
            11 if name.eq_ignore_ascii_case("retry-after") => again = true,
            _ => {}
        }
    }
    let begin = end + 4;
    let body = begin..if chunked { after_chunks(buffer, begin)? } else { begin + length };
    let status = head.get(9..12)?.parse().ok()?;
    (buffer.len() >= body.end).then_some(Answer { status, body, last, again })
}

fn after_chunks(buffer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let line = memmem::find(buffer.get(at..)?, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&buffer[at..at + line]).ok()?, 16).ok()?;
        at += line + 2 + size + 2;
        if size == 0 {
            return Some(at);
        }
    }
}

impl Seen {
    fn note(&mut self, group: usize, micros: u32, answer: &Answer, buffer: &[u8]) {
        self.micros.entry((group, answer.status)).or_default().push(micros);
        self.bytes += buffer.len();
        self.mute += usize::from(matches!(answer.status, 429 | 503) && !answer.again);
        let body = &buffer[answer.body.clone()];
        if answer.status >= 300 {
            self.refusals.entry(answer.status).or_insert_with(|| String::from_utf8_lossy(body).into_owned());
        }
        if let Some(answers) = &mut self.answers {
            answers.write_all(body).and_then(|()| answers.write_all(b"\n")).unwrap();
        }
    }

    fn report(self, groups: &[String], seconds: f64, processor: f64) -> Value {
        let (mut good, mut statuses, mut by_group) = (Vec::new(), BTreeMap::<u16, usize>::new(), json!({}));
        for ((group, status), mut micros) in self.micros {
            *statuses.entry(status).or_default() += micros.len();
            if (200..300).contains(&status) {
                good.extend_from_slice(&micros);
            }
            by_group[&groups[group]][status.to_string()] = spread(&mut micros);
        }
        let count = statuses.values().sum::<usize>();
        json!({
            "good": good.len(), "good_per_second": good.len() as f64 / seconds, "latency": spread(&mut good),
            "groups": by_group, "statuses": statuses, "refusals": self.refusals, "broken": self.broken, "mute": self.mute,
            "seconds": seconds, "client_cpu": processor / seconds, "bytes_per_answer": self.bytes / count.max(1),
        })
    }
}

/// Count and percentiles, in microseconds.
fn spread(micros: &mut [u32]) -> Value {
    micros.sort_unstable();
    let at = |share: f64| micros.get((micros.len() as f64 * share) as usize).or(micros.last());
    json!({ "count": micros.len(), "p50_us": at(0.5), "p90_us": at(0.9), "p99_us": at(0.99), "max_us": micros.last() })
}

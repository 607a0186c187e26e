//! An SMTP relay for tests, on a port of its own: takes mails and keeps them raw, or misbehaves in one of the
//! ways relays do. Self-contained, so that integration tests can use the file as well.

#![allow(dead_code, reason = "each test crate uses its part of it")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// How the relay behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Takes every mail.
    Accept,
    /// Takes every mail, answering the final dot after so long.
    Slow(Duration),
    /// `421` instead of a greeting.
    Unavailable,
    /// Accepts the connection and says nothing.
    SilentGreeting,
    /// Offers and demands AUTH, and answers it with `535`.
    RefuseLogin,
    /// This code at RCPT, such as 450 or 550.
    AtRecipient(u16),
    /// This code after the final dot.
    AtMessage(u16),
    /// Takes DATA and never answers the final dot.
    SilentAfterData,
    /// Reads the whole mail, then closes without an answer.
    DropAfterDot,
    /// Closes each connection that has been idle for so long.
    CloseIdle(Duration),
}

/// A mail that came in whole.
#[derive(Clone, Debug)]
pub struct Received {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// The message as on the wire, dots unstuffed, CRLF kept, without the final dot.
    pub raw: Vec<u8>,
    /// Its Message-ID header, with the angle brackets.
    pub message_id: String,
    /// Whether it was answered with 250.
    pub accepted: bool,
    /// When.
    pub at: Instant,
}

impl Received {
    /// The message as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// The line that is a link and nothing else.
    pub fn link(&self) -> Option<String> {
        self.text().split("\r\n").find(|line| line.starts_with("http")).map(str::to_owned)
    }
}

#[derive(Default)]
struct Seen {
    mails: Vec<Received>,
    recipients: Vec<String>,
    mode: Option<Mode>,
    by_recipient: HashMap<String, Mode>,
}

#[derive(Default)]
struct Counters {
    connections: AtomicUsize,
    sending: AtomicUsize,
    most_sending: AtomicUsize,
}

/// The relay; dropping it closes its port and its connections.
pub struct FaultyRelay {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Drop for FaultyRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultyRelay {
    /// Listens on a free port of 127.0.0.1, on the current runtime.
    pub async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the relay");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Seen { mode: Some(mode), ..Seen::default() }));
        let counters = Arc::new(Counters::default());
        let (shared, counting) = (Arc::clone(&seen), Arc::clone(&counters));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counting.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, Arc::clone(&shared), Arc::clone(&counting)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, seen, counters, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `smtp://127.0.0.1:port?tls=none`, for `mail.url`.
    pub fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.address)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test panicked here")
    }

    /// Behaves so from the next step of each dialogue on.
    pub fn set_mode(&self, mode: Mode) {
        self.seen().mode = Some(mode);
    }

    /// Behaves so for one recipient, whatever the mode.
    pub fn for_recipient(&self, address: &str, mode: Mode) {
        self.seen().by_recipient.insert(address.to_owned(), mode);
    }

    /// Every mail that came in whole, accepted or not, in order.
    pub fn mails(&self) -> Vec<Received> {
        self.seen().mails.clone()
    }

    /// The mails answered with 250.
    pub fn accepted(&self) -> Vec<Received> {
        self.mails().into_iter().filter(|mail| mail.accepted).collect()
    }

    /// The mails accepted for this address.
    pub fn accepted_for(&self, address: &str) -> Vec<Received> {
        self.accepted().into_iter().filter(|mail| mail.to.iter().any(|to| to == address)).collect()
    }

    /// Every recipient ever named, refused ones included.
    pub fn recipients(&self) -> Vec<String> {
        self.seen().recipients.clone()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::SeqCst)
    }

    /// The most mails that were between MAIL and the final answer at the same time.
    pub fn most_at_once(&self) -> usize {
        self.counters.most_sending.load(Ordering::SeqCst)
    }

    /// Waits until so many mails have been accepted, and gives them; panics after the limit.
    pub async fn wait_for(&self, count: usize, limit: Duration) -> Vec<Received> {
        let end = Instant::now() + limit;
        loop {
            let accepted = self.accepted();
            if accepted.len() >= count {
                return accepted;
            }
            assert!(Instant::now() < end, "{} of {count} mails after {limit:?}", accepted.len());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Counts a mail under way for as long as it lives.
struct Sending(Arc<Counters>);

impl Sending {
    fn begin(counters: &Arc<Counters>) -> Self {
        let now = counters.sending.fetch_add(1, Ordering::SeqCst) + 1;
        counters.most_sending.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(counters))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>, counters: Arc<Counters>) {
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let dialogue = Dialogue { read: BufReader::new(read), write, seen, counters };
    let _ = dialogue.run().await;
}

struct Dialogue<R, W> {
    read: BufReader<R>,
    write: W,
    seen: Arc<Mutex<Seen>>,
    counters: Arc<Counters>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Dialogue<R, W> {
    fn mode(&self, recipients: &[String]) -> Mode {
        let seen = self.seen.lock().expect("no test panicked here");
        let own = recipients.iter().find_map(|to| seen.by_recipient.get(to));
        own.or(seen.mode.as_ref()).cloned().unwrap_or(Mode::Accept)
    }

    async fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.write.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.write.flush().await
    }

    async fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        let idle = match self.mode(&[]) {
            Mode::CloseIdle(limit) => limit,
            _ => Duration::from_secs(3600),
        };
        let reading = self.read.read_until(b'\n', &mut line);
        let Ok(count) = tokio::time::timeout(idle, reading).await else { return Ok(None) };
        let count = count?;
        Ok((count > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    async fn run(mut self) -> std::io::Result<()> {
        match self.mode(&[]) {
            Mode::Unavailable => return self.say("421 closing for maintenance").await,
            Mode::SilentGreeting => return std::future::pending().await,
            _ => self.say("220 sink ESMTP").await?,
        }
        let (mut from, mut to, mut sending) = (String::new(), Vec::new(), None);
        while let Some(line) = self.line().await? {
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" if self.mode(&[]) == Mode::RefuseLogin => {
                    self.say("250-sink\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME").await?;
                }
                "EHLO" => self.say("250-sink\r\n250 8BITMIME").await?,
                "HELO" | "NOOP" => self.say("250 sink").await?,
                "AUTH" if self.mode(&[]) == Mode::RefuseLogin => self.say("535 5.7.8 bad login").await?,
                "AUTH" => self.say("235 welcome").await?,
                "MAIL" if self.mode(&[]) == Mode::RefuseLogin => self.say("530 5.7.0 log in first").await?,
                "MAIL" => {
                    (from, to) = (address_in(&line), Vec::new());
                    sending = Some(Sending::begin(&self.counters));
                    self.say("250 sender ok").await?;
                }
                "RCPT" => {
                    let recipient = address_in(&line);
                    self.seen.lock().expect("no panic").recipients.push(recipient.clone());
                    match self.mode(std::slice::from_ref(&recipient)) {
                        Mode::AtRecipient(code) => self.say(&format!("{code} not this one")).await?,
                        _ => {
                            to.push(recipient);
                            self.say("250 recipient ok").await?;
                        }
                    }
                }
                "RSET" => {
                    (to, sending) = (Vec::new(), None);
                    self.say("250 forgotten").await?;
                }
                "DATA" if to.is_empty() => self.say("503 nobody to send to").await?,
                "DATA" => {
                    if !self.data(std::mem::take(&mut from), std::mem::take(&mut to)).await? {
                        return Ok(());
                    }
                    sending = None;
                }
                "QUIT" => return self.say("221 bye").await,
                _ => self.say("500 what?").await?,
            }
        }
        drop(sending);
        Ok(())
    }

    /// Reads one message and answers as the mode says; `false` ends the connection.
    async fn data(&mut self, from: String, to: Vec<String>) -> std::io::Result<bool> {
        self.say("354 go on").await?;
        let mut raw = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.read.read_until(b'\n', &mut line).await? == 0 {
                return Ok(false);
            }
            if line == b".\r\n" {
                break;
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        let mode = self.mode(&to);
        if let Mode::Slow(pause) = mode {
            sleep(pause).await;
        }
        let refused = matches!(mode, Mode::AtMessage(_) | Mode::SilentAfterData | Mode::DropAfterDot);
        let message_id = header(&raw, "message-id").unwrap_or_default();
        let mail = Received { from, to, raw, message_id, accepted: !refused, at: Instant::now() };
        self.seen.lock().expect("no panic").mails.push(mail);
        match mode {
            Mode::SilentAfterData => std::future::pending().await,
            Mode::DropAfterDot => Ok(false),
            Mode::AtMessage(code) => self.say(&format!("{code} not this mail")).await.map(|()| true),
            _ => self.say("250 taken").await.map(|()| true),
        }
    }
}

fn address_in(line: &str) -> String {
    let after = line.split_once('<').map_or("", |(_, after)| after);
    after.split_once('>').map_or("", |(address, _)| address).to_owned()
}

/// The value of a header of a raw message, unfolded.
pub fn header(raw: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(raw);
    let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

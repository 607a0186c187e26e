//! A relay for tests: speaks real SMTP, keeps every byte of what it took, and answers recipients as a test
//! tells it to. Runs on threads of its own, so that no runtime of a test holds it up.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use mail_parser::MessageParser;

/// A mail as its reader would see it, whichever way it left.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Envelope recipient.
    pub to: String,
    /// Decoded subject.
    pub subject: String,
    /// Decoded text part.
    pub text: String,
    /// Decoded HTML part.
    pub html: String,
    /// The line of the text part that is a link.
    pub link: String,
    /// Message-ID without angle brackets.
    pub message_id: String,
    /// Every byte after DATA; empty for mails that never crossed a socket.
    pub raw: Vec<u8>,
}

impl From<usher::mail::Mail> for Letter {
    fn from(mail: usher::mail::Mail) -> Self {
        Self {
            link: lone_link(&mail.text),
            to: mail.to,
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            message_id: mail.message_id.trim_matches(['<', '>']).to_owned(),
            raw: Vec::new(),
        }
    }
}

/// The one line of a text part that is a URL and nothing else.
fn lone_link(text: &str) -> String {
    let mut links =
        text.lines().map(str::trim).filter(|line| line.starts_with("http") && !line.contains(' '));
    links.find(|line| line.contains("invites/")).unwrap_or_default().to_owned()
}

#[derive(Default)]
struct State {
    letters: Vec<Letter>,
    /// What is answered to RCPT, by the start of the address.
    answers: BTreeMap<String, String>,
    /// Answered instead of a greeting.
    greeting: Option<String>,
    /// Every RCPT ever seen, refused ones included.
    asked: Vec<String>,
}

/// The sink; clones share what it took.
#[derive(Clone)]
pub struct SmtpSink {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl SmtpSink {
    /// Listens on a free port of loopback until the test process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sink = Self { addr: listener.local_addr().unwrap(), state: Arc::default() };
        let shared = sink.state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // a client that goes away in the middle is no error of the sink
                std::thread::spawn(move || drop(converse(&stream, &state)));
            }
        });
        sink
    }

    /// For `mail.url`.
    pub fn url(&self) -> String {
        format!("smtp://{}?tls=none", self.addr)
    }

    /// What it took so far.
    pub fn letters(&self) -> Vec<Letter> {
        self.state.lock().unwrap().letters.clone()
    }

    /// Every recipient it was asked for so far, refused ones included.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// From now on answers RCPT of addresses that begin so with this line, such as `550 5.1.1 unknown`.
    pub fn answer(&self, address_start: &str, line: &str) {
        self.state.lock().unwrap().answers.insert(address_start.to_owned(), line.to_owned());
    }

    /// From now on takes every recipient.
    pub fn take_all(&self) {
        let mut state = self.state.lock().unwrap();
        state.answers.clear();
        state.greeting = None;
    }

    /// From now on greets with this line, such as `421 4.3.2 closed`.
    pub fn greet(&self, line: &str) {
        self.state.lock().unwrap().greeting = Some(line.to_owned());
    }
}

/// One connection, from greeting to QUIT.
fn converse(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream.try_clone()?);
    stream.set_nodelay(true)?;
    let mut say = |line: &str| writer.write_all(format!("{line}\r\n").as_bytes());
    let greeting = state.lock().unwrap().greeting.clone();
    say(greeting.as_deref().unwrap_or("220 sink.test ESMTP"))?;
    let mut recipients: Vec<String> = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say("250-sink.test\r\n250 8BITMIME")?,
            "MAIL" => {
                recipients.clear();
                say("250 2.1.0 ok")?;
            }
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                let mut state = state.lock().unwrap();
                state.asked.push(address.clone());
                let refusal = state.answers.iter().find(|(start, _)| address.starts_with(start.as_str()));
                match refusal.map(|(_, line)| line.clone()) {
                    Some(line) => say(&line)?,
                    None => {
                        recipients.push(address);
                        say("250 2.1.5 ok")?;
                    }
                }
            }
            "DATA" if recipients.is_empty() => say("554 5.5.1 no valid recipients")?,
            "DATA" => {
                say("354 go ahead")?;
                let raw = read_data(&mut reader)?;
                let letters = recipients.drain(..).map(|to| parse(&to, &raw));
                state.lock().unwrap().letters.extend(letters);
                say("250 2.0.0 taken")?;
            }
            "QUIT" => return say("221 2.0.0 bye"),
            _ => say("250 2.0.0 ok")?,
        }
    }
}

/// The bytes up to the lone dot, dots unstuffed.
fn read_data(reader: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(raw);
        }
        raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// Reads a mail as mail software would.
pub fn parse(to: &str, raw: &[u8]) -> Letter {
    let message = MessageParser::default().parse(raw).unwrap();
    let text = message.body_text(0).unwrap_or_default().into_owned();
    Letter {
        to: to.to_owned(),
        subject: message.subject().unwrap_or_default().to_owned(),
        link: lone_link(&text),
        html: message.body_html(0).unwrap_or_default().into_owned(),
        text,
        message_id: message.message_id().unwrap_or_default().to_owned(),
        raw: raw.to_vec(),
    }
}

//! A relay for tests: speaks real SMTP, keeps every byte of what it took, and answers or fails as a test tells it
//! to. Runs on threads of its own, so that no runtime of a test holds it up.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use mail_parser::MessageParser;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpSocket;

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

/// How a relay fails that answers nothing or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// Takes connections and says nothing.
    Silent,
    /// Refuses every login.
    NoLogin,
}

/// How a message ends that is not simply taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// DATA is never answered.
    NoGoAhead,
    /// The whole message is kept, and that is said when the sink is told to take all.
    Later,
    /// The whole message is kept, and that is never said.
    NoAnswer,
    /// The whole message is kept and the connection closed.
    HangsUp,
    /// The whole message is lost and the connection closed.
    Lost,
    /// The whole message is answered with this line.
    Says(&'static str),
}

/// What a relay shows that offers STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// Its own.
    Good,
    /// Its own of years ago.
    Expired,
    /// That of another host.
    OtherName,
}

impl Certificate {
    /// The root that has signed them all, for `mail.ca_file`.
    pub fn root() -> PathBuf {
        certificates().join("ca.pem")
    }

    fn accepting(self) -> Arc<ServerConfig> {
        let file = match self {
            Self::Good => "good.pem",
            Self::Expired => "expired.pem",
            Self::OtherName => "other_name.pem",
        };
        let chain = vec![CertificateDer::from_pem_file(certificates().join(file)).unwrap()];
        let key = PrivateKeyDer::from_pem_file(certificates().join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap())
    }
}

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/relay_certificates")
}

#[derive(Default)]
struct State {
    letters: Vec<Letter>,
    /// What is answered to RCPT, by the start of the address.
    answers: BTreeMap<String, String>,
    /// How messages end, by the start of the address.
    endings: BTreeMap<String, Ending>,
    /// Answered instead of a greeting.
    greeting: Option<String>,
    failing: Option<Failing>,
    certificate: Option<Certificate>,
    /// Every RCPT ever seen, refused ones included.
    asked: Vec<String>,
    /// Connections ever made.
    connections: usize,
}

/// The sink; clones share what it took.
#[derive(Clone)]
pub struct SmtpSink {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Its port while nobody listens there.
    closed: Arc<Mutex<Option<TcpSocket>>>,
}

impl SmtpSink {
    /// Listens on a free port of loopback until the test process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sink =
            Self { addr: listener.local_addr().unwrap(), state: Arc::default(), closed: Arc::default() };
        sink.listen(listener);
        sink
    }

    /// Holds a free port of loopback, where every connection is refused until the sink is opened.
    pub fn closed() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let addr = socket.local_addr().unwrap();
        Self { addr, state: Arc::default(), closed: Arc::new(Mutex::new(Some(socket))) }
    }

    /// Listens from now on where it was closed. For an asynchronous test.
    pub fn open(&self) {
        let Some(socket) = self.closed.lock().unwrap().take() else { return };
        let listener = socket.listen(1024).unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        self.listen(listener);
    }

    fn listen(&self, listener: TcpListener) {
        let shared = self.state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // a client that goes away in the middle is no error of the sink
                std::thread::spawn(move || drop(converse(&stream, &state)));
            }
        });
    }

    /// For `mail.url`.
    pub fn url(&self) -> String {
        self.url_with("", "none")
    }

    /// The same with `user:password@` before the host, and with other demands on TLS.
    pub fn url_with(&self, login: &str, tls: &str) -> String {
        format!("smtp://{login}{}?tls={tls}", self.addr)
    }

    /// What it took so far.
    pub fn letters(&self) -> Vec<Letter> {
        self.state.lock().unwrap().letters.clone()
    }

    /// Every recipient it was asked for so far, refused ones included.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// How many connections it took so far.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    /// From now on answers RCPT of addresses that begin so with this line, such as `550 5.1.1 unknown`.
    pub fn answer(&self, address_start: &str, line: &str) {
        self.state.lock().unwrap().answers.insert(address_start.to_owned(), line.to_owned());
    }

    /// From now on messages to addresses that begin so end like this.
    pub fn end(&self, address_start: &str, ending: Ending) {
        self.state.lock().unwrap().endings.insert(address_start.to_owned(), ending);
    }

    /// From now on fails like this.
    pub fn fail(&self, failing: Failing) {
        self.state.lock().unwrap().failing = Some(failing);
    }

    /// From now on offers STARTTLS and shows this certificate.
    pub fn show(&self, certificate: Certificate) {
        self.state.lock().unwrap().certificate = Some(certificate);
    }

    /// From now on takes every mail of everybody.
    pub fn take_all(&self) {
        let mut state = self.state.lock().unwrap();
        state.answers.clear();
        state.endings.clear();
        (state.greeting, state.failing) = (None, None);
    }

    /// From now on greets with this line, such as `421 4.3.2 closed`.
    pub fn greet(&self, line: &str) {
        self.state.lock().unwrap().greeting = Some(line.to_owned());
    }
}

/// A connection in clear text or not.
trait Wire: Read + Write {}

impl<W: Read + Write> Wire for W {}

/// One side of a dialogue.
struct Line(BufReader<Box<dyn Wire>>);

impl Line {
    fn over(wire: impl Wire + 'static) -> Self {
        Self(BufReader::new(Box::new(wire)))
    }

    fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.0.get_mut().flush()
    }

    /// Says nothing more, until the other side has had enough.
    fn fall_silent(&mut self) -> std::io::Result<()> {
        std::io::copy(&mut self.0, &mut std::io::sink()).map(drop)
    }

    /// The bytes up to the lone dot, dots unstuffed.
    fn read_message(&mut self) -> std::io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.0.read_until(b'\n', &mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line == b".\r\n" {
                return Ok(raw);
            }
            raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

/// One connection, from greeting to QUIT.
fn converse(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut line = Line::over(stream.try_clone()?);
    let (greeting, failing, mut certificate) = {
        let mut state = state.lock().unwrap();
        state.connections += 1;
        (state.greeting.clone(), state.failing, state.certificate)
    };
    if failing == Some(Failing::Silent) {
        return line.fall_silent();
    }
    line.say(greeting.as_deref().unwrap_or("220 sink.test ESMTP"))?;
    let mut recipients: Vec<String> = Vec::new();
    loop {
        let mut command = String::new();
        if line.0.read_line(&mut command)? == 0 {
            return Ok(());
        }
        let verb = command.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" if failing == Some(Failing::NoLogin) => {
                line.say("250-sink.test\r\n250 AUTH PLAIN LOGIN")?
            }
            "EHLO" if certificate.is_some() => line.say("250-sink.test\r\n250 STARTTLS")?,
            "EHLO" => line.say("250-sink.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME")?,
            "STAR" => {
                let Some(shown) = certificate.take() else { return line.say("502 5.5.1 no TLS here") };
                line.say("220 2.0.0 go ahead")?;
                let connection = ServerConnection::new(shown.accepting()).map_err(std::io::Error::other)?;
                line = Line::over(StreamOwned::new(connection, stream.try_clone()?));
            }
            "AUTH" if failing == Some(Failing::NoLogin) => line.say("535 5.7.8 who are you?")?,
            "AUTH" => line.say("235 2.7.0 welcome")?,
            "MAIL" => {
                recipients.clear();
                line.say("250 2.1.0 ok")?;
            }
            "RCPT" => {
                let address = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                let refusal = {
                    let mut state = state.lock().unwrap();
                    state.asked.push(address.clone());
                    of_address(&state.answers, &address)
                };
                if refusal.is_none() {
                    recipients.push(address);
                }
                line.say(refusal.as_deref().unwrap_or("250 2.1.5 ok"))?;
            }
            "DATA" if recipients.is_empty() => line.say("554 5.5.1 no valid recipients")?,
            "DATA" => {
                let ending = recipients.iter().find_map(|to| of_address(&state.lock().unwrap().endings, to));
                if ending == Some(Ending::NoGoAhead) {
                    return line.fall_silent();
                }
                line.say("354 go ahead")?;
                let raw = line.read_message()?;
                let letters: Vec<Letter> = recipients.drain(..).map(|to| parse(&to, &raw)).collect();
                if matches!(ending, None | Some(Ending::Later | Ending::NoAnswer | Ending::HangsUp)) {
                    state.lock().unwrap().letters.extend(letters);
                }
                match ending {
                    Some(Ending::NoAnswer) => return line.fall_silent(),
                    Some(Ending::HangsUp | Ending::Lost) => return Ok(()),
                    Some(Ending::Later) => {
                        while !state.lock().unwrap().endings.is_empty() {
                            std::thread::sleep(std::time::Duration::from_millis(5));
                        }
                        line.say("250 2.0.0 taken")?;
                    }
                    Some(Ending::Says(answer)) => line.say(answer)?,
                    _ => line.say("250 2.0.0 taken")?,
                }
            }
            "QUIT" => return line.say("221 2.0.0 bye"),
            _ => line.say("250 2.0.0 ok")?,
        }
    }
}

/// What is told of addresses that begin like this one.
fn of_address<T: Clone>(told: &BTreeMap<String, T>, address: &str) -> Option<T> {
    told.iter().find(|(start, _)| address.starts_with(start.as_str())).map(|(_, told)| told.clone())
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

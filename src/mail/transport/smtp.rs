//! Handing mails to an SMTP relay. Owns the dialogue phase by phase, because what a failure means depends on
//! how far it had come: before the message it is harmless, after it nobody can know. Connections are kept for
//! the next mail, every socket has TCP_NODELAY, and every phase ends within our own time limit, since the
//! client underneath limits nothing but the connect.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
    commands::{Data, Mail, Rcpt, Rset},
    extension::ClientId,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{Outcome, tls_stream::TlsStream};
use crate::{
    config::settings::{Relay, RelayTls},
    mail::letter::Letter,
};

/// Limit of connect, TLS, greeting and authentication together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection kept from before may take to answer before a new one is made.
const REUSE_LIMIT: Duration = Duration::from_secs(5);
/// Connections idle for longer are not used again.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Connections kept at most.
const KEPT: usize = 16;

/// A relay and its idle connections.
pub struct SmtpRelay {
    relay: Relay,
    hello: ClientId,
    tls: OnceLock<TlsParameters>,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for SmtpRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smtp{:?}", self.relay)
    }
}

impl SmtpRelay {
    /// A relay that is greeted with this host name. Connects when the first mail is sent.
    #[must_use]
    pub fn new(relay: Relay, hello: String) -> Self {
        Self { relay, hello: ClientId::Domain(hello), tls: OnceLock::new(), idle: Mutex::default() }
    }

    /// Hands over one mail; the whole attempt takes at most `limit`.
    pub async fn send(&self, letter: &Letter, limit: Duration) -> Outcome {
        let deadline = Instant::now() + limit;
        let mut connection = match self.ready(letter, deadline).await {
            Ok(connection) => connection,
            Err(outcome) => return outcome,
        };
        let (outcome, usable) = transact(&mut connection, letter, deadline).await;
        if usable {
            self.keep(connection);
        }
        outcome
    }

    /// A connection that has taken this letter's sender: one kept from before if it still lives, else a new
    /// one. A dead one shows at MAIL, where starting over harms nothing.
    async fn ready(&self, letter: &Letter, deadline: Instant) -> Result<AsyncSmtpConnection, Outcome> {
        while let Some(mut kept) = self.take() {
            let limit = deadline.min(Instant::now() + REUSE_LIMIT);
            if let Ok(Ok(())) = timeout_at(limit, mail(&mut kept, letter)).await {
                return Ok(kept);
            }
        }
        let limit = deadline.min(Instant::now() + CONNECT_LIMIT);
        let mut fresh = timeout_at(limit, self.connect())
            .await
            .map_err(|_| Outcome::RelayDown("connect_timeout"))?
            .map_err(Outcome::RelayDown)?;
        match timeout_at(deadline, mail(&mut fresh, letter)).await {
            Ok(Ok(())) => Ok(fresh),
            Ok(Err(error)) => Err(match status(&error) {
                Some(421) => Outcome::RelayDown("service_unavailable"),
                Some(530 | 534 | 535 | 538) => Outcome::RelayDown("auth_required"),
                // the operator has to make the relay accept this sender; the mail waits for that
                Some(500..) => Outcome::Deferred("sender_refused"),
                Some(_) => Outcome::Deferred("sender_deferred"),
                None => Outcome::Deferred("dropped_before_data"),
            }),
            Err(_) => Err(Outcome::Deferred("timeout_before_data")),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, &'static str> {
        let tcp = TcpStream::connect((self.relay.host.as_str(), self.relay.port))
            .await
            .map_err(|error| self.complain("connect", &error))?;
        // without it the end of every mail waits some 40 ms for a delayed acknowledgement
        let _ = tcp.set_nodelay(true);
        let mut connection = if self.relay.tls == RelayTls::Wrapped {
            let stream =
                TlsStream::over(tcp, self.tls()?).await.map_err(|error| self.complain("tls", &error))?;
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await
        } else {
            AsyncSmtpConnection::connect_with_transport(Box::new(tcp), &self.hello).await
        }
        .map_err(|error| self.complain("greeting", &error))?;
        let upgrade = match self.relay.tls {
            RelayTls::Required => true,
            RelayTls::Opportunistic => connection.can_starttls(),
            RelayTls::Wrapped | RelayTls::None => false,
        };
        if upgrade {
            connection
                .starttls(self.tls()?, &self.hello)
                .await
                .map_err(|error| self.complain("tls", &error))?;
        }
        if let Some((user, password)) = &self.relay.credentials {
            let credentials = Credentials::new(user.clone(), password.clone());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await
                .map_err(|error| self.complain("auth", &error))?;
        }
        Ok(connection)
    }

    /// Whether the relay can be used: connects, speaks TLS and logs in as for a mail, sends none, and leaves.
    ///
    /// # Errors
    /// The class of what failed; the log says more.
    pub async fn probe(&self) -> Result<(), &'static str> {
        let mut connection =
            timeout(CONNECT_LIMIT, self.connect()).await.map_err(|_| "connect_timeout")??;
        let _ = timeout(REUSE_LIMIT, connection.quit()).await;
        Ok(())
    }

    fn tls(&self) -> Result<TlsParameters, &'static str> {
        if let Some(parameters) = self.tls.get() {
            return Ok(parameters.clone());
        }
        let mut builder = TlsParameters::builder(self.relay.host.clone());
        match &self.relay.ca_file {
            Some(path) => {
                let pem = std::fs::read(path).map_err(|error| self.complain("ca_file", &error))?;
                let root = Certificate::from_pem(&pem).map_err(|error| self.complain("ca_file", &error))?;
                builder = builder.certificate_store(CertificateStore::None).add_root_certificate(root);
            }
            // loopback only, where clear text would do as well: the self-made certificate of a local mail
            // server must not stop it from working
            None if self.relay.tls == RelayTls::Opportunistic => {
                builder =
                    builder.dangerous_accept_invalid_certs(true).dangerous_accept_invalid_hostnames(true);
            }
            None => {}
        }
        let built = builder.build_rustls().map_err(|error| self.complain("tls", &error))?;
        Ok(self.tls.get_or_init(|| built).clone())
    }

    /// Logs why the relay cannot be used and gives the class.
    fn complain(&self, class: &'static str, error: &dyn std::error::Error) -> &'static str {
        tracing::warn!(relay = ?self.relay, class, %error, "the relay cannot be used");
        class
    }

    fn take(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (connection, since) = idle.pop()?;
        // the youngest is on top: if it is too old, so are the others
        if since.elapsed() > IDLE_LIMIT {
            idle.clear();
            return None;
        }
        Some(connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push((connection, Instant::now()));
        }
    }

    /// Closes connections that have been idle for long.
    pub fn drop_idle(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() <= IDLE_LIMIT);
    }
}

fn status(error: &Error) -> Option<u16> {
    error.status().map(u16::from)
}

async fn mail(connection: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), Error> {
    connection.command(Mail::new(Some(letter.from.clone()), vec![])).await.map(drop)
}

/// RCPT, DATA and the message; tells too whether the connection can take another mail.
async fn transact(
    connection: &mut AsyncSmtpConnection,
    letter: &Letter,
    deadline: Instant,
) -> (Outcome, bool) {
    let recipient = connection.command(Rcpt::new(letter.to.clone(), vec![]));
    match timeout_at(deadline, recipient).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let outcome = match status(&error) {
                // the relay wants to be logged in to: the recipient is not at fault
                Some(530 | 534 | 535 | 538) => Outcome::Deferred("auth_required"),
                Some(500..) => Outcome::Refused("recipient_refused"),
                Some(_) => Outcome::Deferred("recipient_deferred"),
                None => Outcome::Deferred("dropped_before_data"),
            };
            let usable = status(&error).is_some_and(|code| code != 421) && reset(connection).await;
            return (outcome, usable);
        }
        Err(_) => return (Outcome::Deferred("timeout_before_data"), false),
    }
    match timeout_at(deadline, connection.command(Data)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let outcome = match status(&error) {
                Some(500..) => Outcome::Refused("message_refused"),
                Some(_) => Outcome::Deferred("message_deferred"),
                None => Outcome::Deferred("dropped_before_data"),
            };
            return (outcome, false);
        }
        Err(_) => return (Outcome::Deferred("timeout_before_data"), false),
    }
    match timeout_at(deadline, connection.message(&letter.raw)).await {
        Ok(Ok(_)) => (Outcome::Sent, true),
        Ok(Err(error)) => match status(&error) {
            Some(500..) => (Outcome::Refused("message_refused"), false),
            Some(_) => (Outcome::Deferred("message_deferred"), false),
            None => (Outcome::Ambiguous("dropped_after_data"), false),
        },
        Err(_) => (Outcome::Ambiguous("timeout_after_data"), false),
    }
}

async fn reset(connection: &mut AsyncSmtpConnection) -> bool {
    matches!(timeout(REUSE_LIMIT, connection.command(Rset)).await, Ok(Ok(_)))
}

//! Talking to a test server over real HTTP: a call says who calls and on which host, an answer is asserted by
//! status and code. Every refusal is checked to carry both error shapes.

use std::{
    collections::BTreeMap,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::OnceLock,
    time::Duration,
};

use reqwest::{Client, Method, RequestBuilder, header};
use serde_json::Value;

use super::{eventually, people::Credential, setup::PLATFORM};

/// A client that follows nothing, trusts nothing and asks no proxy.
pub fn http_client() -> Client {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        // whoever comes second finds one installed already
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    Client::builder()
        .no_proxy()
        .http1_only()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

/// A request being put together; awaiting it sends it.
pub struct Call {
    request: RequestBuilder,
    host: String,
}

impl Call {
    /// A call of this method and URL on the platform's host.
    pub fn new(client: &Client, method: Method, url: String) -> Self {
        Self { request: client.request(method, url), host: PLATFORM.to_owned() }
    }

    /// Sends a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// Sends a body as it is.
    pub fn body(mut self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.header(header::CONTENT_TYPE, content_type).body(body);
        self
    }

    /// Presents a credential as the bearer token.
    pub fn by(self, who: &(impl Credential + ?Sized)) -> Self {
        self.bearer(&who.bearer())
    }

    /// Presents any text as the bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Names another host than the platform's.
    pub fn on(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.send().await.unwrap() })
    }
}

impl Call {
    /// Sends it where the server may be gone at any time.
    pub async fn send(self) -> reqwest::Result<Answer> {
        let answer = self.request.header(header::HOST, self.host).send().await?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        Ok(Answer { status, headers, body: answer.bytes().await?.to_vec() })
    }
}

impl Call {
    /// Sends it again as long as it is told to come back, as clients do: where the test troubles the server, or the
    /// machine has no time for it, any call may be. For what may be done twice.
    pub async fn patiently(self) -> Answer {
        eventually("an answer", async || {
            let again = Self { request: self.request.try_clone().unwrap(), host: self.host.clone() };
            let answer = again.await;
            if answer.status == 503 {
                answer.come_back();
                return None;
            }
            Some(answer)
        })
        .await
    }
}

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers by lower-case name; of a repeated one the last.
    pub headers: BTreeMap<String, String>,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header, or the empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// The JSON body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert!(self.header("content-type").starts_with("application/json"), "{:?}", self.headers);
        self.json()
    }

    /// The body of a refusal that must have this status and code, in both shapes.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        let nested = &body["error"];
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(nested["code"], code, "{body}");
        assert!(body["message"].as_str().is_some_and(|text| text.len() > 5), "{body}");
        assert_eq!(body["message"], nested["message"]);
        assert_eq!(body["request_id"], nested["request_id"]);
        assert_eq!(body["request_id"], self.header("x-request-id"), "{body}");
        body
    }

    /// Asserts that it tells the caller to come back, and when, as every answer does that the server's troubles cause.
    #[track_caller]
    pub fn come_back(&self) {
        self.refused(503, "SERVICE_UNAVAILABLE");
        assert!(self.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{self:?}");
    }

    /// Status and JSON body without what differs between two equal refusals.
    #[track_caller]
    pub fn anonymous(&self) -> (u16, Value) {
        let mut body = self.json();
        if let Some(body) = body.as_object_mut() {
            body.remove("request_id");
            if let Some(nested) = body.get_mut("error").and_then(Value::as_object_mut) {
                nested.remove("request_id");
            }
        }
        (self.status, body)
    }
}

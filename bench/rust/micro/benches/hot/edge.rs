//! What a request passes before and after its handler, without a socket: the same answer from a bare application, behind
//! what usher's middleware is made of, one piece at a time, behind all of it, and behind usher's routes. Every line
//! contains the first one, so a piece costs what it takes beyond that.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::{Next, from_fn},
    test::{self, TestRequest},
    web,
};
use criterion::Criterion;
use futures_util::FutureExt;
use usher::http::{
    edge::{self, methods, request_id},
    error::Asked,
    routes,
};

use super::served::Served;

/// As long as a preview.
static ANSWER: [u8; 450] = [b'x'; 450];

async fn answer() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(web::Bytes::from_static(&ANSWER))
}

async fn nothing(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    Ok(next.call(req).await?.map_into_boxed_body())
}

/// An id, in place at every poll and in a header.
async fn id(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let id = request_id::new();
    let answering = pin!(next.call(req));
    let called = request_id::scope(Asked { id, enveloped: false }, answering);
    let mut answer = called.await?.map_into_boxed_body();
    let value = HeaderValue::from_str(&id.to_string()).unwrap();
    answer.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    Ok(answer)
}

/// A deadline and a fence.
async fn fence(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let fenced = AssertUnwindSafe(next.call(req)).catch_unwind();
    let answer = tokio::time::timeout(Duration::from_secs(10), fenced).await.unwrap().unwrap();
    Ok(answer?.map_into_boxed_body())
}

/// Calls an application with the same request again and again.
macro_rules! bench {
    ($c:expr, $served:expr, $name:expr, $app:expr, $request:expr) => {
        let app = $served.actors.block_on(async { test::init_service($app).await });
        let request = || -> TestRequest { $request.peer_addr(([127, 0, 0, 1], 4711).into()) };
        let status =
            $served.actors.block_on(async { app.call(request().to_request()).await.unwrap().status() });
        assert_eq!(status, 200, "{}", $name);
        $c.bench_function($name, |b| {
            b.iter_custom(|times| {
                $served.actors.block_on(async {
                    let mut spent = Duration::ZERO;
                    for _ in 0..times {
                        let request = request().to_request();
                        let began = Instant::now();
                        let answer = app.call(request).await;
                        drop(answer);
                        spent += began.elapsed();
                    }
                    spent
                })
            })
        });
    };
}

fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(path).insert_header(("host", "invite.bench.test")).insert_header(("accept", "*/*"))
}

pub fn bench(c: &mut Criterion, served: &Served) {
    let bare = || App::new().app_data(served.state.clone()).route("/api/v1/answer", web::get().to(answer));
    let path = "/api/v1/answer";
    bench!(c, served, "request: bare", bare(), get(path));
    bench!(c, served, "request: a middleware that does nothing", bare().wrap(from_fn(nothing)), get(path));
    bench!(c, served, "request: id alone", bare().wrap(from_fn(id)), get(path));
    bench!(c, served, "request: deadline and fence alone", bare().wrap(from_fn(fence)), get(path));
    bench!(c, served, "request: all of the edge", bare().wrap(from_fn(edge::edge)), get(path));
    let paged = || {
        let origin = ("origin", "https://app.bench.test");
        TestRequest::get().uri(path).insert_header(("host", "paged.bench.test")).insert_header(origin)
    };
    bench!(c, served, "request: all of the edge, CORS", bare().wrap(from_fn(edge::edge)), paged());

    let whole = || {
        App::new()
            .app_data(served.state.clone())
            .app_data(methods::query_config())
            .app_data(methods::path_config())
            .configure(routes::api)
            .configure(routes::pages)
            .wrap(from_fn(edge::edge))
    };
    bench!(c, served, "request: health check, behind every route", whole(), get("/healthz"));
    let preview = format!("/api/v1/workspace-invites/{}", served.invite());
    bench!(c, served, "request: preview, cached", whole(), get(&preview));
}

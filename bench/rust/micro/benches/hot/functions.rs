//! Single functions.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
};

use criterion::{BatchSize, Criterion};
use entity::{InviteId, OutboxId, Role};
use usher::{
    domain::{Clock, EmailAddress, LinkClaims},
    identity::Trust,
    invites::{
        preview::look,
        proof::{Kind, Presented},
    },
    mail::{
        letter::{Sender, write},
        render::{Invitation, Look, render},
    },
    tenancy::{Arrival, Headers},
};
use uuid::Uuid;

use super::served::{Served, row};

pub fn bench(c: &mut Criterion, served: &Served) {
    links(c, served);
    credentials(c, served);
    hosts(c, served);
    addresses(c);
    previews(c, served);
    mails(c);
}

fn links(c: &mut Criterion, served: &Served) {
    let (keys, claims) = (served.keys(), LinkClaims { id: InviteId(Uuid::now_v7()), version: 1 });
    let token = keys.mint(row(), claims).unwrap().as_str().to_owned();
    c.bench_function("link token: mint", |b| b.iter(|| keys.mint(black_box(row()), black_box(claims))));
    c.bench_function("link token: parse and verify", |b| {
        b.iter(|| keys.verify(&keys.parse(black_box(&token)).unwrap(), row()))
    });
}

fn credentials(c: &mut Criterion, served: &Served) {
    let auth = &served.state.auth;
    let check = |bearer: Option<&str>, key: Option<&str>| {
        served.runtime.block_on(auth.authenticate(bearer, key, None)).unwrap().unwrap()
    };
    // under newly compiled issuers no verdict counts that was given before; what is known of persons does
    let forget = || auth.replace(Trust::compile(&served.settings).unwrap());
    for signer in &served.signers {
        let (alg, bearer) = (signer.algorithm, signer.bearer(Clock::wall()));
        check(Some(&bearer), None);
        c.bench_function(&format!("credential: {alg:?}, seen before"), |b| {
            b.iter(|| check(Some(black_box(&bearer)), None))
        });
        c.bench_function(&format!("credential: {alg:?}, first time"), |b| {
            b.iter_batched(forget, |()| check(Some(&bearer), None), BatchSize::PerIteration)
        });
    }
    let key = served.api_key();
    // a verdict on a key lives for less than a second, so one in very many is given anew
    c.bench_function("credential: API key, seen before", |b| b.iter(|| check(None, Some(black_box(&key)))));
    // reads the key's row
    c.bench_function("credential: API key, first time", |b| {
        b.iter_batched(forget, |()| check(None, Some(&key)), BatchSize::PerIteration)
    });
}

fn hosts(c: &mut Criterion, served: &Served) {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let resolve = |host: &str| {
        let snapshot = served.state.registry.current();
        let headers = Headers { host: vec![host], ..Headers::default() };
        let arrival = Arrival::of(peer, &headers, &snapshot.settings.server.trusted_proxies);
        arrival.host.and_then(|host| snapshot.site(&host)).unwrap()
    };
    c.bench_function("host: platform", |b| b.iter(|| resolve(black_box("localhost:8080"))));
    c.bench_function("host: a tenant's own", |b| b.iter(|| resolve(black_box("invite.bench.test"))));
}

fn addresses(c: &mut Criterion) {
    let parse = |text: &str| EmailAddress::parse(text).unwrap();
    c.bench_function("address: ASCII", |b| b.iter(|| parse(black_box("Person.Name@Example.test"))));
    c.bench_function("address: international domain", |b| {
        b.iter(|| parse(black_box("person@bücher.example")))
    });
}

fn previews(c: &mut Criterion, served: &Served) {
    let link = Presented { token: served.invite(), kind: Kind::Workspace, within: None };
    let show = || served.runtime.block_on(look(&served.state.invites, black_box(&link))).unwrap();
    show();
    // an entry lives for seconds, so one in very many is read anew
    c.bench_function("preview: cached", |b| b.iter(show));
}

fn mails(c: &mut Criterion) {
    let link = "https://invite.bench.test/workspace-invites/token";
    let facts = Invitation {
        to: "person@example.test",
        link,
        tenant: "Acme Corp",
        workspace: Some("Dr. Smith Clinic"),
        inviter: Some("Ada Lovelace"),
        role: Role::Member,
        expires_at: Clock::wall(),
        message: Some("Welcome to the clinic."),
        locale: Some("de-AT"),
        look: Look::default(),
    };
    let sender = Sender { from: "Bench <no-reply@bench.test>", reply_to: None };
    c.bench_function("mail: rendered", |b| b.iter(|| render(black_box(&facts)).unwrap()));
    c.bench_function("mail: rendered and written", |b| {
        b.iter(|| {
            let content = render(black_box(&facts)).unwrap();
            write(OutboxId(Uuid::now_v7()), sender, facts.to, link, content, Clock::wall()).unwrap()
        })
    });
}

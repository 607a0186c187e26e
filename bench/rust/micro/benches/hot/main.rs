//! What usher's hot functions cost by themselves, without a socket: the token of a link, a credential, the host of a
//! request, an address, a preview that is cached, a mail (`functions`); and what a request passes on its way to a
//! handler (`edge`).

mod edge;
mod functions;
mod served;
mod signer;

use criterion::{Criterion, criterion_group, criterion_main};

use served::Served;

fn all(c: &mut Criterion) {
    let home = std::env::temp_dir().join(format!("usher-micro-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let served = Served::start(&home);
    functions::bench(c, &served);
    edge::bench(c, &served);
    drop(served);
    std::fs::remove_dir_all(home).unwrap();
}

criterion_group!(hot, all);
criterion_main!(hot);

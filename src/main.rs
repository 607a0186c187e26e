//! temporary
fn main() {
    usher::telemetry::init();
    let mut source = usher::config::Source::default();
    source.config_dir = std::env::args().nth(1).unwrap_or("config".into()).into();
    source.listen = std::env::args().nth(2);
    source.env = std::env::vars().collect();
    if let Err(e) = usher::app::run(usher::app::Options { source, ..Default::default() }) {
        eprintln!("{e}");
        std::process::exit(1)
    }
}

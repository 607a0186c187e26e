//! Logs and metrics. Logs are structured, go to standard error, and never hold a token, a key or a whole
//! address; metrics are rendered on the admin listener and name no tenant. Whoever reads standard error may stall:
//! lines are queued and written by a thread of their own, so that no request waits for it, nor does the end. (The crate
//! `tracing-appender` does nearly this. But of a reader that stalls it tells at the end on standard output, which is for
//! data alone and may be the very pipe that nobody reads.)

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged unless `USHER_LOG` says otherwise. `actix_http` reports every broken connection as an error.
const DEFAULT_FILTER: &str =
    "info,actix_http=off,actix_server=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn";

/// Lines that may wait for whoever reads standard error; further ones are dropped and counted.
const WAITING: usize = 8192;
/// Lines are written together up to so many bytes, and later ones gather for so long.
const MOST_AT_ONCE: usize = 64 * 1024;
const GATHER: Duration = Duration::from_millis(2);
/// How long the end of the process waits for lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// How often recorded times are put together.
const PUT_TOGETHER: Duration = Duration::from_secs(5);

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Begins logging: JSON, or readable lines on a terminal; `USHER_LOG_FORMAT=json|pretty` decides otherwise.
/// Called once per process; again it changes nothing. What it gives writes the last lines when it is dropped.
#[must_use = "dropping it ends the log"]
pub fn init() -> LastLines {
    let filter = std::env::var("USHER_LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER));
    let pretty = match std::env::var("USHER_LOG_FORMAT").as_deref() {
        Ok("json") => false,
        Ok("pretty") => true,
        _ => std::io::stderr().is_terminal(),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let (queue, waiting) = sync_channel(WAITING);
    let lines = Lines(queue.clone());
    let writer = move || lines.clone();
    let begun = if pretty {
        registry.with(fmt::layer().with_writer(writer).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(writer)).try_init()
    };
    if begun.is_ok() {
        std::thread::spawn(move || write_out(&waiting));
    }
    LastLines(queue)
}

enum Line {
    Text(Vec<u8>),
    /// Answered when everything before it is written.
    Asked(SyncSender<()>),
}

/// Takes lines for standard error and never waits.
#[derive(Clone)]
struct Lines(SyncSender<Line>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Line::Text(line.to_vec())).is_err() {
            metrics::counter!("usher_log_lines_dropped_total").increment(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what has gathered at once, and lets more gather meanwhile: to be woken for every line costs more than the
/// line.
fn write_out(waiting: &Receiver<Line>) {
    let mut text = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut next = Some(first);
        while let Some(line) = next {
            match line {
                Line::Text(line) => text.extend_from_slice(&line),
                Line::Asked(answer) => {
                    write(&mut text);
                    let _ = answer.try_send(());
                }
            }
            next = waiting.try_recv().ok().filter(|_| text.len() < MOST_AT_ONCE);
        }
        let more_waits = text.len() >= MOST_AT_ONCE;
        write(&mut text);
        if !more_waits {
            std::thread::sleep(GATHER);
        }
    }
}

fn write(text: &mut Vec<u8>) {
    // where standard error is closed there is nobody to tell
    let _ = io::stderr().write_all(text);
    text.clear();
}

/// Dropped at the end of the process, it waits a moment for what is still to be written.
pub struct LastLines(SyncSender<Line>);

impl Drop for LastLines {
    fn drop(&mut self) {
        let (answer, written) = sync_channel(1);
        if self.0.try_send(Line::Asked(answer)).is_ok() {
            // whoever stalls loses the end of the log, not the end of the process
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

/// The process's metrics in Prometheus' text format; empty if they could not be installed.
#[must_use]
pub fn render_metrics() -> String {
    install_metrics().as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

/// Begins recording metrics.
pub fn install_metrics() -> &'static Option<PrometheusHandle> {
    METRICS.get_or_init(|| {
        let metrics = PrometheusBuilder::new().install_recorder().ok()?;
        let kept = metrics.clone();
        // times are kept one by one until they are put together: without this, for as long as nobody reads the figures
        let put_together = move || {
            loop {
                std::thread::sleep(PUT_TOGETHER);
                kept.run_upkeep();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("usher-figures".to_owned()).spawn(put_together) {
            tracing::error!(%error, "no thread can be had to put figures together: memory will grow until they are read");
        }
        Some(metrics)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn times_are_put_together_while_nobody_reads_the_figures() {
        let kept = install_metrics().as_ref().unwrap();
        metrics::histogram!("usher_test_seconds").record(4711.0625);
        // what is put together is told with its sum; of what waits for that only the number is
        let until = Instant::now() + Duration::from_secs(60);
        while !format!("{kept:?}").contains("4711.0625") {
            assert!(Instant::now() < until, "it waits for somebody who reads the figures");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

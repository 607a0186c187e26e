//! Which threads give way to others where processors are short. Those that answer requests go first: under a flood it is
//! they who refuse, and a refusal that comes late is worth nothing. Knows of nothing else in the crate.

/// Has the calling thread give way to those that answer requests: it gets a quarter of a processor while they want all
/// of it. Not for threads that hold what those wait for. Where the system cannot do that for one thread nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 5) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn one_thread_gives_way_and_no_other() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        let other = std::thread::spawn(move || {
            give_way();
            priority()
        });
        assert_eq!(other.join().unwrap(), before.max(5));
        assert_eq!(priority(), before);
    }
}

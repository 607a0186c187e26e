//! Which threads give way to others where processors are short. Those that answer requests go first: under a flood it is
//! they who refuse, and a refusal that comes late is worth nothing. Knows of nothing else in the crate.

/// How much nicer than the rest of the process: a quarter of a processor of which the rest wants all.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Has the calling thread give way to those that answer requests. Not for threads that hold what those wait for, and not
/// for threads that start any of those: a thread begins as nice as the one that started it, and may not become less so.
/// Where the system cannot do that for one thread, nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpid, getpriority_process, setpriority_process};
        // the process's first thread is as nice as the process was started
        let set =
            getpriority_process(Some(getpid())).and_then(|base| setpriority_process(None, base + NICER));
        if let Err(error) = set {
            tracing::debug!(%error, "a thread keeps its priority");
        }
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
            let started_by_it = std::thread::spawn(move || {
                give_way();
                priority()
            });
            (priority(), started_by_it.join().unwrap())
        });
        let nicer = (before + NICER).min(19);
        assert_eq!(other.join().unwrap(), (nicer, nicer));
        assert_eq!(priority(), before);
    }
}

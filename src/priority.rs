//! Which threads give way to others where processors are short. Those that answer requests go first: under a flood it is
//! they who refuse, and a refusal that comes late is worth nothing. Knows of nothing else in the crate.

/// How much nicer than the rest of the process: a quarter of a processor of which the rest wants all.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Has the calling thread give way to those that answer requests. Not for threads that hold what those wait for. Where
/// the system cannot do that for one thread, nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let set = getpriority_process(None).and_then(|now| setpriority_process(None, now + NICER));
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
            priority()
        });
        assert_eq!(other.join().unwrap(), (before + NICER).min(19));
        assert_eq!(priority(), before);
    }
}

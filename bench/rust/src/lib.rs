//! What the programs share: flags, and the processor time they used.

use std::{collections::HashMap, str::FromStr};

/// Flags given as `--name value`.
pub struct Flags(HashMap<String, String>);

impl Flags {
    /// The flags after the first `skip` arguments.
    pub fn after(skip: usize) -> Self {
        let mut flags = HashMap::new();
        let mut arguments = std::env::args().skip(skip + 1);
        while let Some(name) = arguments.next() {
            let Some(name) = name.strip_prefix("--") else { fail(&format!("what is {name}?")) };
            let Some(value) = arguments.next() else { fail(&format!("--{name} needs a value")) };
            flags.insert(name.to_owned(), value);
        }
        Self(flags)
    }

    /// The text of a flag that must be there.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or_else(|| fail(&format!("--{name} is missing")), String::as_str)
    }

    /// The text of a flag that may be there.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The number of a flag that must be there.
    pub fn number<T: FromStr>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_else(|_| fail(&format!("--{name} is no number")))
    }

    /// Whether a flag is `yes`.
    pub fn yes(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value == "yes")
    }
}

/// Ends the program with a word about why.
pub fn fail(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2)
}

/// Seconds of processor time that this process has used, user and system.
pub fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| after_name.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

//! The name that was probably meant, for everything that refuses an unknown one.

/// "; did you mean `x`?" for the nearest name, if one is near enough.
#[must_use]
pub fn did_you_mean<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| (strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(2) && *distance < name.len())
        .min()
        .map(|(_, name)| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_something_else_finds_none() {
        let names = ["status", "email", "created_after", "created_before"];
        assert_eq!(did_you_mean("statsu", names.into_iter()), "; did you mean `status`?");
        assert_eq!(did_you_mean("CREATED-AFTER", names.into_iter()), "; did you mean `created_after`?");
        assert_eq!(did_you_mean("colour", names.into_iter()), "");
    }
}

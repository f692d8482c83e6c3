//! The ids of every case, so that a name in a baseline or an option can be checked.
//!
//! The list is a file beside this one, in the order of the alphabet. A test
//! reads the crate's own sources and says which line is missing; the runs
//! against strict servers say which is left over.

/// The ids of all cases, for example `RS-06.at-once`.
pub fn case_ids() -> impl Iterator<Item = &'static str> {
    include_str!("cases.txt").lines()
}

/// Whether this is the id of a case, or of a check that has cases.
#[must_use]
pub fn is_id(id: &str) -> bool {
    case_ids().any(|case| case == id) || is_check(id)
}

/// Whether this is the id of a check, for example `RS-06`.
pub(crate) fn is_check(id: &str) -> bool {
    case_ids().any(|case| check_of(case) == id)
}

/// The id of a case or check that is most like this text, if one is.
#[must_use]
pub fn nearest_id(text: &str) -> Option<&'static str> {
    let wanted = text.to_ascii_lowercase();
    let likeness = |id: &str| strsim::damerau_levenshtein(&id.to_ascii_lowercase(), &wanted);
    let cases = case_ids().chain(case_ids().map(check_of));
    let nearest = cases.min_by_key(|id| likeness(id))?;
    let most = (text.chars().count() / 3).max(2);
    (likeness(nearest) <= most).then_some(nearest)
}

/// The check a case belongs to: `RS-06` of `RS-06.at-once`.
pub(crate) fn check_of(case: &str) -> &str {
    case.split_once('.').map_or(case, |(check, _)| check)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn the_list_is_sorted_and_has_nothing_twice() {
        let ids: Vec<&str> = case_ids().collect();
        let sorted: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids, sorted.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn every_case_in_the_sources_is_listed() {
        let mut found = BTreeSet::new();
        for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.extend(cases_in(code));
        }
        assert!(found.len() > 50, "the reader found {} cases", found.len());
        let listed: BTreeSet<String> = case_ids().map(str::to_owned).collect();
        let missing: Vec<&String> = found.difference(&listed).collect();
        assert!(missing.is_empty(), "add to src/cases.txt: {missing:#?}");
    }

    #[test]
    fn the_reader_sees_a_case() {
        let code = "Case::new(\n  &checks::RS_06,\n  \"at-once\",\n  \"x\", c)";
        assert_eq!(cases_in(code), ["RS-06.at-once"]);
        assert_eq!(cases_in("&checks::RS_13, session"), Vec::<String>::new());
    }

    #[test]
    fn the_nearest_id_is_found_and_nonsense_has_none() {
        assert_eq!(nearest_id("RS-06.atonce"), Some("RS-06.at-once"));
        assert_eq!(
            nearest_id("rs-1.without-proof"),
            Some("RS-01.without-proof")
        );
        assert_eq!(nearest_id("RS06"), Some("RS-06"));
        assert_eq!(nearest_id("something else altogether"), None);
    }

    fn sources(directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }

    /// `checks::RS_06, "at-once"` wherever it stands.
    fn cases_in(code: &str) -> Vec<String> {
        let named = code.split("checks::").skip(1).filter_map(|rest| {
            let (check, rest) = rest.split_once(',')?;
            let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let name = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            (check.contains('_') && check.chars().all(is_name))
                .then(|| format!("{}.{name}", check.replacen('_', "-", 1)))
        });
        named.collect()
    }
}

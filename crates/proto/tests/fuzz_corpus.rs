//! Replays the corpus of every fuzz target, through the very functions that
//! libFuzzer explores, on the ordinary compiler.
//!
//! Files that begin with `accept-` or `refuse-` were written by hand and also
//! say what must come out. The others were found by fuzzing; for them it is
//! enough that nothing panics.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[expect(
    unreachable_pub,
    reason = "the file is a library elsewhere: the one the fuzz targets call"
)]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(folder: &str, suffix: &str) -> BTreeSet<String> {
    let folder = fuzz_folder().join(folder);
    fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(suffix).map(str::to_owned))
        .collect()
}

#[test]
fn every_family_has_an_executable() {
    let table: BTreeSet<String> = targets::FAMILIES
        .iter()
        .map(|family| family.name.to_owned())
        .collect();
    assert_eq!(names("fuzz_targets", ".rs"), table);

    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in table {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "fuzz/Cargo.toml does not name {name}"
        );
        let code = fs::read_to_string(fuzz_folder().join(format!("fuzz_targets/{name}.rs")));
        assert!(
            code.unwrap()
                .contains(&format!("explore(\"{name}\", input)")),
            "fuzz_targets/{name}.rs explores another family"
        );
        // It calls every target, which must not panic on what it does not know.
        targets::explore(&name, b"");
    }
}

#[test]
fn every_target_has_a_corpus() {
    let targets: BTreeSet<String> = all_targets().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names("corpus", ""), targets);
}

#[test]
fn the_corpus_is_judged_as_its_names_say() {
    for (name, target) in all_targets() {
        let (mut accepted, mut refused) = (0, 0);
        for file in names(&format!("corpus/{name}"), "") {
            let path = fuzz_folder().join("corpus").join(name).join(&file);
            let outcome = target(&fs::read(&path).unwrap());
            if file.starts_with("accept-") {
                assert!(outcome, "{name}/{file} is refused");
                accepted += 1;
            } else if file.starts_with("refuse-") {
                assert!(!outcome, "{name}/{file} is accepted");
                refused += 1;
            }
        }
        assert!(refused > 0, "{name} has no input to refuse");
        // Nobody can make a nonce of a key they do not know.
        assert!(accepted > 0 || name == "nonce", "{name} accepts nothing");
    }
}

fn all_targets() -> impl Iterator<Item = (&'static str, targets::Target)> {
    targets::FAMILIES
        .iter()
        .flat_map(|family| family.targets.iter().copied())
}

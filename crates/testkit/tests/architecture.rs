//! The cut of the workspace, held by an ordinary test.
//!
//! Who may import whom, what the sans-IO core may depend on, where `async` and the wall clock may
//! appear, that every crate inherits the lints (and with them `unsafe_code = "forbid"`), and how
//! large files are. ARCHITECTURE.md says why.
//!
//! What this does not check: items inside a crate (privacy and the lints do that) and third-party
//! dependencies other than those of `keybound-proto` (deny.toml does that).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Whom each crate may import. A crate that is missing here fails the test, so a new crate begins
/// with a line in this table and in ARCHITECTURE.md.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("keybound-proto", &[]),
    ("keybound-custody", &["keybound-proto"]),
    ("keybound-guard", &["keybound-proto"]),
    ("keybound-holder", &["keybound-proto", "keybound-custody"]),
    ("keybound-control", &["keybound-proto", "keybound-guard"]),
    (
        "keybound-issuer",
        &[
            "keybound-proto",
            "keybound-custody",
            "keybound-guard",
            "keybound-control",
        ],
    ),
    (
        "keybound-edge",
        &["keybound-proto", "keybound-guard", "keybound-holder"],
    ),
    // The referee knows neither the guard nor the issuer: it sees what a stranger sees.
    (
        "keybound-probe",
        &["keybound-proto", "keybound-custody", "keybound-holder"],
    ),
    ("keybound", EVERYTHING_BUT_CLI_AND_TESTKIT),
    ("keybound-testkit", EVERYTHING_BUT_CLI_AND_TESTKIT),
    ("xtask", &["keybound-proto"]),
];

const EVERYTHING_BUT_CLI_AND_TESTKIT: &[&str] = &[
    "keybound-proto",
    "keybound-custody",
    "keybound-guard",
    "keybound-holder",
    "keybound-control",
    "keybound-issuer",
    "keybound-edge",
    "keybound-probe",
];

/// Edges that exist for tests only, beyond the table above.
const MAY_IMPORT_IN_TESTS: &[(&str, &[&str])] = &[
    // A guard's tests need somebody who signs tokens and proofs.
    ("keybound-guard", &["keybound-custody"]),
    // The same at the gateway's own tests.
    ("keybound-edge", &["keybound-custody"]),
];

/// Everything the sans-IO core is built on: one cryptographic backend, encodings, certificates, compressed status lists,
/// wiping of secrets.
const PROTO_IS_BUILT_ON: &[&str] = &[
    "aws-lc-rs",
    "base64",
    "flate2",
    "rustls-pki-types",
    "rustls-webpki",
    "serde",
    "serde_json",
    "x509-parser",
    "zeroize",
];

/// The command line, which is where the clock comes from, and two files of tests: real peers and
/// real stores go by the system's time, so the hand-driven clock has to start there.
const MAY_READ_THE_WALL_CLOCK: &[&str] = &[
    "crates/cli",
    "crates/guard/tests/shared/support.rs",
    "crates/testkit/src/world.rs",
];

/// A hard limit on lines of one source file, its bottom test module not counted.
const LARGEST_FILE: usize = 600;
/// Files above this size are named in the test's output.
const LARGE_FILE: usize = 400;

#[test]
fn no_crate_imports_what_it_must_not_know() {
    let metadata = metadata();
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some(allowed) = row(MAY_IMPORT, name) else {
            findings.push(format!("`{name}` has no row in the import table"));
            continue;
        };
        let allowed_in_tests = row(MAY_IMPORT_IN_TESTS, name).unwrap_or_default();
        for (imported, kind) in own_imports(package, &metadata) {
            let for_tests = kind == DependencyKind::Development;
            let is_allowed = allowed.contains(&imported.as_str())
                || (for_tests && allowed_in_tests.contains(&imported.as_str()));
            if !is_allowed {
                findings.push(format!("`{name}` imports `{imported}` ({kind:?})"));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
}

/// A row for a crate or an edge that is gone would hide the day when it comes back.
#[test]
fn the_import_table_names_only_crates_that_exist() {
    let metadata = metadata();
    let existing: BTreeSet<String> = own_names(&metadata);
    for (name, imports) in MAY_IMPORT.iter().chain(MAY_IMPORT_IN_TESTS) {
        assert!(existing.contains(*name), "`{name}` is not in the workspace");
        for import in *imports {
            assert!(
                existing.contains(*import),
                "`{import}` is not in the workspace"
            );
        }
    }
}

#[test]
fn proto_is_built_on_the_allow_list_exactly() {
    let metadata = metadata();
    let proto = package(&metadata, "keybound-proto");
    let third_party: BTreeSet<&str> = proto
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
        .collect();
    let expected: BTreeSet<&str> = PROTO_IS_BUILT_ON.iter().copied().collect();
    assert_eq!(third_party, expected);
}

#[test]
fn the_issuers_decisions_are_not_async() {
    let source = root().join("crates/issuer/src");
    let flow: Vec<PathBuf> = rust_files(&source)
        .into_iter()
        .filter(|file| {
            let inside = file.strip_prefix(&source).unwrap_or(file);
            inside.starts_with("flow") || inside == Path::new("flow.rs")
        })
        .collect();
    assert!(
        !flow.is_empty(),
        "crates/issuer/src/flow is where the decisions live"
    );
    let findings = files_with_token(&flow, |code| has_word(code, "async"));
    assert!(findings.is_empty(), "async in the pure part: {findings:#?}");
}

#[test]
fn only_the_command_line_reads_the_wall_clock() {
    let files: Vec<PathBuf> = rust_files(&root().join("crates"))
        .into_iter()
        .filter(|file| {
            let exempt = |path: &str| file.starts_with(root().join(path));
            !MAY_READ_THE_WALL_CLOCK.iter().any(|path| exempt(path))
        })
        // An example or a benchmark is a program of its own, as the command line is.
        .filter(|file| {
            let own = |part: Component<'_>| {
                ["examples", "benches"]
                    .map(OsStr::new)
                    .contains(&part.as_os_str())
            };
            !file.components().any(own)
        })
        .collect();
    assert!(files.len() > 20, "the walk found {} files", files.len());
    let findings = files_with_token(&files, |code| code.contains("SystemTime::now"));
    assert!(findings.is_empty(), "wall clock outside cli: {findings:#?}");
}

#[test]
fn every_crate_inherits_the_lints_that_forbid_unsafe_code() {
    let workspace = read(&root().join("Cargo.toml"));
    assert!(workspace.contains("[workspace.lints.rust]"));
    assert!(workspace.contains("\nunsafe_code = \"forbid\"\n"));
    for package in metadata().workspace_packages() {
        let manifest = read(package.manifest_path.as_std_path());
        let lints = manifest.split("\n[lints]\n").nth(1).unwrap_or_default();
        let first_line = lints.lines().next().unwrap_or_default();
        assert_eq!(
            first_line, "workspace = true",
            "`{}` does not inherit the workspace's lints",
            package.name
        );
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the sizes are a report, read with --nocapture"
)]
#[test]
fn files_stay_readable_in_one_sitting() {
    let mut files = rust_files(&root().join("crates"));
    files.extend(rust_files(&root().join("xtask")));
    let mut sizes: Vec<(usize, PathBuf)> = files
        .into_iter()
        .filter(|file| !is_test_file(file))
        .map(|file| (lines_without_tests(&read(&file)), file))
        .collect();
    sizes.sort_by(|left, right| right.cmp(left));
    let total: usize = sizes.iter().map(|(lines, _)| lines).sum();
    println!("{} files, {total} lines without tests", sizes.len());
    for (lines, file) in sizes.iter().filter(|(lines, _)| *lines > LARGE_FILE) {
        println!("{lines:5} {}", file.display());
    }
    let too_large: Vec<_> = sizes
        .iter()
        .filter(|(lines, _)| *lines > LARGEST_FILE)
        .collect();
    assert!(
        too_large.is_empty(),
        "over {LARGEST_FILE} lines: {too_large:#?}"
    );
}

#[test]
fn the_scanner_reads_code_and_not_comments_or_strings() {
    let text = "// async here\nlet s = \"async\"; /* async */ let asyncronous = 1;\n";
    assert!(!has_word(&code_only(text), "async"));
    assert!(has_word(&code_only("pub async fn f() {}"), "async"));
    assert!(has_word(&code_only("let c = '\"'; async {}"), "async"));
    assert!(!code_only("/// `SystemTime::now` is banned\n").contains("SystemTime::now"));
    assert_eq!(
        lines_without_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"),
        2
    );
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes its own workspace")
}

fn package<'a>(metadata: &'a Metadata, name: &str) -> &'a Package {
    metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == name)
        .unwrap_or_else(|| panic!("`{name}` is in the workspace"))
}

fn own_names(metadata: &Metadata) -> BTreeSet<String> {
    let packages = metadata.workspace_packages();
    packages
        .iter()
        .map(|package| package.name.to_string())
        .collect()
}

/// The imports of our own crates; a crate that names itself (to switch on a feature in its tests)
/// imports nobody.
fn own_imports(package: &Package, metadata: &Metadata) -> Vec<(String, DependencyKind)> {
    let own = own_names(metadata);
    package
        .dependencies
        .iter()
        .filter(|dependency| own.contains(&dependency.name))
        .filter(|dependency| dependency.name != package.name.as_str())
        .map(|dependency| (dependency.name.clone(), dependency.kind))
        .collect()
}

fn row(table: &[(&str, &'static [&'static str])], name: &str) -> Option<&'static [&'static str]> {
    table
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| *value)
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("crates/testkit is two folders deep")
        .to_path_buf()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(current) = pending.pop() {
        let entries = std::fs::read_dir(&current)
            .unwrap_or_else(|error| panic!("{}: {error}", current.display()));
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn is_test_file(path: &Path) -> bool {
    let in_test_folder = path.components().any(|part| part.as_os_str() == "tests");
    in_test_folder || path.file_name().is_some_and(|name| name == "tests.rs")
}

fn lines_without_tests(text: &str) -> usize {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .count()
}

fn files_with_token(files: &[PathBuf], is_found: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    files
        .iter()
        // This file names the forbidden things in order to look for them.
        .filter(|file| !file.ends_with("testkit/tests/architecture.rs"))
        .filter(|file| is_found(&code_only(&read(file))))
        .cloned()
        .collect()
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|character: char| !character.is_alphanumeric() && character != '_')
        .any(|token| token == word)
}

/// The text without comments and without the contents of ordinary string literals.
fn code_only(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("'\"'") {
            3
        } else if character == '"' {
            string_literal_length(rest)
        } else {
            code.push(character);
            character.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

fn string_literal_length(text: &str) -> usize {
    let mut escaped = false;
    for (position, character) in text.char_indices().skip(1) {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return position + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

//! Arguments, help, the shape of failures, completions, manual pages.

use crate::program::{Home, text};

#[test]
fn an_unknown_command_is_usage() {
    let ended = Home::new().run(&["attack"]).ends_with(2);
    assert!(ended.stdout.is_empty());
    assert!(
        ended.stderr.contains("unrecognized subcommand 'attack'"),
        "{ended:?}"
    );
}

#[test]
fn a_failure_in_json_mode_is_an_object_on_stderr() {
    let ended = Home::new().run(&["attack", "--json"]).ends_with(2);
    let failure = ended.failure();
    assert_eq!(failure["code"], "usage");
    assert!(
        failure["message"]
            .as_str()
            .is_some_and(|message| message.contains("attack"))
    );
    assert!(failure["next"].is_string());
}

#[test]
fn a_secret_cannot_be_given_as_an_argument() {
    for arguments in [
        ["token", "inspect", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"].as_slice(),
        &["token", "introspect", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"],
        &["proof", "explain", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA"],
        &[
            "proof",
            "new",
            "GET",
            "http://a/",
            "--key",
            "k",
            "--token",
            "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
        ],
    ] {
        let ended = Home::new().run(arguments).ends_with(2);
        assert!(ended.stderr.contains("@file"), "{ended:?}");
    }
}

#[test]
fn a_thumbprint_may_begin_with_a_hyphen() {
    let jkt = "-dtfBAgc3Q8bcQ9AOcTsaLBZL7yv9ALrrTxqQrHRG7_";
    for arguments in [
        ["lock", "key", jkt, "--reason", "x", "--json"].as_slice(),
        &["unlock", "key", jkt, "--json"],
        &["lock", "identity", jkt, "--json"],
        &["events", "tail", "--jkt", jkt, "--json"],
    ] {
        // Nobody said who the operator is; that is as far as it gets here.
        let failure = Home::new().run(arguments).ends_with(2).failure();
        let message = failure["message"].as_str().expect("says why");
        assert!(message.contains("no profile"), "{message}");
    }
}

#[test]
fn there_is_no_colour_without_a_terminal() {
    for arguments in [["--help"].as_slice(), &["version"], &["attack"]] {
        let ended = Home::new().run(arguments);
        assert!(
            !ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'),
            "{ended:?}"
        );
    }
}

#[test]
fn version_is_data_on_stdout() {
    let ended = Home::new().run(&["version", "--json"]).ends_with(0);
    assert_eq!(ended.json()["version"], env!("CARGO_PKG_VERSION"));
    assert!(ended.stderr.is_empty());
}

#[test]
fn completions_and_manual_pages_are_made_by_the_program() {
    let home = Home::new();
    for shell in ["bash", "fish", "zsh"] {
        assert!(
            home.run(&["completions", shell])
                .ends_with(0)
                .stdout
                .contains("keybound")
        );
    }
    let directory = home.path("man");
    home.run(&["man", text(&directory)]).ends_with(0);
    let page =
        std::fs::read_to_string(directory.join("keybound-proof-explain.1")).expect("has the page");
    assert!(page.contains("plain words"), "{page}");
}

//! `keybound demo`.

use crate::program::Home;

#[test]
fn the_story_comes_out_as_it_must() {
    let home = Home::new();
    let answer = home.run(&["demo", "--json"]).ends_with(0).json();
    assert_eq!(answer["ok"], true);
    assert!(answer["seconds"].is_f64());
    let steps = answer["steps"].as_array().expect("a list");
    let cause = |name: &str| {
        let step = steps
            .iter()
            .find(|step| step["name"] == name)
            .unwrap_or_else(|| panic!("no step {name}"));
        step["cause"].as_str().unwrap_or("none").to_owned()
    };
    for (name, expected) in [
        ("as-bearer", "token.scheme.downgrade"),
        ("no-proof", "dpop.absent"),
        ("own-key", "token.key_mismatch"),
        ("edited-token", "token.signature.invalid"),
        ("other-resource", "token.audience.mismatch"),
        ("captured-proof-again", "dpop.replayed"),
        ("other-path", "dpop.htu.mismatch"),
        ("other-method", "dpop.htm.mismatch"),
        ("other-host", "dpop.htu.mismatch"),
        ("claimed-host", "http.host_misdirected"),
        ("edited-proof", "dpop.signature.invalid"),
        ("old-proof", "dpop.iat.past"),
        ("proof-for-another-token", "dpop.ath.mismatch"),
        ("owner-refused", "token.revoked"),
        ("owner-approves", "none"),
        ("owner-still-served", "none"),
    ] {
        assert_eq!(cause(name), expected, "{name}");
    }
    for step in steps {
        for member in ["name", "tried", "expected", "got"] {
            assert!(
                step[member].as_str().is_some_and(|text| !text.is_empty()),
                "{step}"
            );
        }
        assert_eq!(step["ok"], true, "{step}");
    }
}

#[test]
fn nothing_is_left_behind() {
    let home = Home::new();
    let temporary = home.path("tmp");
    std::fs::create_dir(&temporary).expect("makes it");
    let name = temporary.to_str().expect("is text");
    home.run_with(&["demo", "--quiet"], &[("TMPDIR", name)])
        .ends_with(0);
    let left = std::fs::read_dir(&temporary).expect("reads").count();
    assert_eq!(left, 0);
    assert!(!home.path(".local").exists());
}

//! `key new|list|show`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::Home;

#[test]
fn a_key_that_cannot_be_used_says_why() {
    let home = Home::new();
    home.run(&["key", "show", "none.pem"]).ends_with(4);
    home.write("text.pem", "no key");
    fs::set_permissions(home.path("text.pem"), fs::Permissions::from_mode(0o600))
        .expect("changes the mode");
    home.run(&["key", "show", "text.pem"]).ends_with(3);
    home.run(&["key", "new", "--out", "open.pem"]).ends_with(0);
    fs::set_permissions(home.path("open.pem"), fs::Permissions::from_mode(0o640))
        .expect("changes the mode");
    let ended = home.run(&["key", "show", "open.pem"]).ends_with(3);
    assert!(ended.stderr.contains("chmod 600"), "{ended:?}");
    let ended = home.run(&["key", "show", "tpm:0x81000001"]).ends_with(3);
    assert!(ended.stderr.contains("file:PATH"), "{ended:?}");
}

#[test]
fn new_keys_are_private_and_never_overwritten() {
    let home = Home::new();
    for algorithm in ["ES256", "EdDSA", "ES384"] {
        let name = format!("{algorithm}.pem");
        let made = home
            .run(&["key", "new", "--alg", algorithm, "--out", &name, "--json"])
            .ends_with(0)
            .json();
        let mode = fs::metadata(home.path(&name))
            .expect("exists")
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode, 0o600);
        let shown = home
            .run(&["key", "show", &name, "--json"])
            .ends_with(0)
            .json();
        assert_eq!(shown["jkt"], made["jkt"]);
        assert_eq!(shown["alg"], algorithm);
        assert!(
            shown["jwk"].get("d").is_none(),
            "a private member was printed"
        );
        home.run(&["key", "new", "--out", &name]).ends_with(2);
    }
    let listed = home
        .run(&["key", "list", ".", "--json"])
        .ends_with(0)
        .json();
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(3));
}

#[test]
fn the_public_half_is_a_key_set_for_the_configuration() {
    let home = Home::new();
    home.run(&["key", "new", "--out", "k.pem"]).ends_with(0);
    let set = home
        .run(&["key", "show", "k.pem", "--jwks"])
        .ends_with(0)
        .json();
    let key = &set["keys"][0];
    assert_eq!(key["kty"], "EC");
    assert!(key.get("d").is_none(), "a private member was printed");
}

//! `proof new|verify|explain`, with no server.

use crate::program::Home;

/// A home with a key and a proof for `GET http://api.example/things`.
fn with_proof() -> Home {
    let home = Home::new();
    home.run(&["key", "new", "--out", "k.pem"]).ends_with(0);
    let url = "http://127.0.0.1:9401/things?page=2";
    let proof = home
        .run(&[
            "proof",
            "new",
            "GET",
            url,
            "--key",
            "k.pem",
            "--iat",
            "1700000000",
        ])
        .ends_with(0);
    home.write("proof", &proof.stdout);
    home
}

const NOW: &str = "1700000030";
const URL: &str = "http://127.0.0.1:9401/things";

#[test]
fn each_fault_is_named_with_its_cause() {
    let home = with_proof();
    let explain = |arguments: &[&str]| {
        let fixed = ["proof", "explain", "@proof", "--json"];
        home.run(&[&fixed, arguments].concat()).ends_with(1).json()
    };
    for (arguments, cause) in [
        (
            ["--at", NOW, "--method", "POST"].as_slice(),
            "dpop.htm.mismatch",
        ),
        (&["--at", NOW, "--method", "get"], "dpop.htm.mismatch"),
        (
            &["--at", NOW, "--url", "http://127.0.0.1:9401/others"],
            "dpop.htu.mismatch",
        ),
        (
            &["--at", NOW, "--url", "http://127.0.0.1:9402/things"],
            "dpop.htu.mismatch",
        ),
        (&["--at", "1700000061"], "dpop.iat.past"),
        (&["--at", "1699999989"], "dpop.iat.future"),
        (&["--at", NOW, "--nonce", "n"], "dpop.nonce.absent"),
    ] {
        assert_eq!(explain(arguments)["cause"], cause, "{arguments:?}");
    }
}

#[test]
fn three_faults_are_three_failed_checks() {
    let home = with_proof();
    let arguments = [
        "proof",
        "explain",
        "@proof",
        "--json",
        "--at",
        "1",
        "--method",
        "POST",
        "--url",
        "http://a/",
    ];
    let answer = home.run(&arguments).ends_with(1).json();
    let failed: Vec<&str> = answer["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|check| check["verdict"] == "fails")
        .filter_map(|check| check["name"].as_str())
        .collect();
    assert_eq!(failed, ["method", "url", "age"]);
}

#[test]
fn an_edited_proof_does_not_verify() {
    let home = with_proof();
    let proof = std::fs::read_to_string(home.path("proof")).expect("reads");
    let mut parts: Vec<String> = proof.trim().split('.').map(str::to_owned).collect();
    // Another proof's signature: well formed, and over other bytes.
    let other = home
        .run(&["proof", "new", "GET", URL, "--key", "k.pem"])
        .ends_with(0)
        .stdout;
    parts[2] = other
        .trim()
        .rsplit('.')
        .next()
        .expect("a signature")
        .to_owned();
    let answer = home
        .feed(
            &["proof", "verify", "-", "--at", NOW, "--json"],
            &parts.join("."),
        )
        .ends_with(1)
        .json();
    assert_eq!(answer["cause"], "dpop.signature.invalid");
}

#[test]
fn a_proof_for_another_token_or_key_is_told_apart() {
    let home = with_proof();
    // The issuer's signature is not what these checks are about.
    let bound_to = |jkt: &str| {
        let part = |text: &str| base64_url(text.as_bytes());
        let payload = format!(r#"{{"cnf":{{"jkt":"{jkt}"}}}}"#);
        format!(
            "{}.{}.{}",
            part(r#"{"typ":"at+jwt","alg":"ES256"}"#),
            part(&payload),
            part("signature")
        )
    };
    let jkt = home.run(&["key", "show", "k.pem", "--json"]).json()["jkt"]
        .as_str()
        .expect("text")
        .to_owned();
    home.write("mine", &bound_to(&jkt));
    home.write(
        "other",
        &bound_to("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    );
    let proof = |token: &str| {
        let token = format!("@{token}");
        let arguments = [
            "proof",
            "new",
            "GET",
            URL,
            "--key",
            "k.pem",
            "--iat",
            "1700000000",
            "--token",
            &token,
        ];
        home.run(&arguments).ends_with(0).stdout
    };
    let verify = |proof: &str, token: &str, code: i32| {
        let token = format!("@{token}");
        home.feed(
            &[
                "proof", "verify", "-", "--at", NOW, "--json", "--token", &token,
            ],
            proof,
        )
        .ends_with(code)
        .json()
    };
    assert_eq!(
        verify(&proof("mine"), "other", 1)["cause"],
        "dpop.ath.mismatch"
    );
    assert_eq!(
        verify(&proof("other"), "other", 1)["cause"],
        "token.key_mismatch"
    );
    let without = std::fs::read_to_string(home.path("proof")).expect("reads");
    assert_eq!(verify(&without, "mine", 1)["cause"], "dpop.ath.absent");
    assert_eq!(verify(&proof("mine"), "mine", 0)["ok"], true);
}

#[test]
fn what_is_no_proof_is_explained() {
    let home = Home::new();
    let ended = home.feed(&["proof", "explain"], "hello").ends_with(1);
    assert!(ended.stdout.contains("dpop.malformed"), "{ended:?}");
}

#[test]
fn a_good_proof_holds_and_says_what_was_not_checked() {
    let home = with_proof();
    let arguments = [
        "proof", "explain", "@proof", "--at", NOW, "--method", "GET", "--url", URL,
    ];
    let ended = home.run(&arguments).ends_with(0);
    assert!(
        ended.stdout.contains("not checked: nonce, token, key"),
        "{ended:?}"
    );
}

/// Base64url without padding (RFC 4648 section 5), for texts of this file.
fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

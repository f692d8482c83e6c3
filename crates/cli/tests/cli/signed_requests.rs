//! Tokens asked for and presented with HTTP message signatures, from end to end: `keybound serve`,
//! and `keybound` as client.

use crate::program::{Home, Service, free_ports};
use crate::serve::ready;

/// A world with two clients that sign: `brings`, whose requests bring the key, and `known`, whose
/// key is registered. The gateway takes signatures at `/signed` and proofs elsewhere.
fn world() -> (Home, Service, u16) {
    let (home, base) = (Home::new(), free_ports(4));
    // A port below 1024 that nobody listens on: what passes the gateway ends with 502.
    let arguments = [
        "init",
        "--upstream",
        "http://127.0.0.1:1",
        "--port-base",
        &base.to_string(),
    ];
    home.run(&arguments).ends_with(0);
    for name in ["brings", "known"] {
        let key = format!("{name}.pem");
        home.run(&["key", "new", "--alg", "EdDSA", "--out", &key])
            .ends_with(0);
        let set = home
            .run(&["key", "show", &key, "--jwks"])
            .ends_with(0)
            .stdout;
        home.write(&format!("clients/{name}.jwks.json"), &set);
    }
    let mut toml = std::fs::read_to_string(home.path("keybound.toml")).expect("reads");
    let route = "[[gateway.route]]\npath = \"/\"";
    let signed = "[[gateway.route]]\npath = \"/signed\"\nupstream = \"http://127.0.0.1:1\"\nenforcement = \"require\"\nbinding_methods = [\"httpsig\"]\n";
    toml = toml.replacen(route, &format!("{signed}{route}"), 1);
    for (name, more) in [
        ("brings", ""),
        ("known", "httpsig_jwks = \"clients/known.jwks.json\"\n"),
    ] {
        toml.push_str(&format!(
            "\n[[issuer.client]]\nid = \"{name}\"\nauth = \"private_key_jwt\"\njwks = \"clients/{name}.jwks.json\"\nbinding_methods = [\"httpsig\"]\n{more}resources = [\"http://127.0.0.1:{}/\"]\n",
            base + 1
        ));
    }
    home.write("keybound.toml", &toml);
    for (profile, client, how) in [
        ("proof", "brings", "dpop"),
        ("brings", "brings", "httpsig"),
        ("known", "known", "httpsig-registered"),
        ("other-way", "known", "httpsig"),
    ] {
        let text = format!(
            "issuer = \"http://127.0.0.1:{base}\"\nclient_id = \"{client}\"\nkey = \"file:{client}.pem\"\nresource = \"http://127.0.0.1:{}/\"\ntoken_request = \"{how}\"\n",
            base + 1
        );
        home.write(&format!("{profile}.toml"), &text);
    }
    let service = home.start(&["serve"]);
    let report = ready(base + 3, "HTTP/1.1 200");
    assert!(
        report.starts_with("HTTP/1.1 200"),
        "{report}\n{}",
        service.log()
    );
    (home, service, base)
}

#[test]
fn a_token_is_asked_for_and_presented_with_signatures() {
    let (home, service, base) = world();
    for profile in ["proof.toml", "other-way.toml"] {
        let refused = home.run(&["token", "get", "--profile", profile]);
        assert_ne!(refused.code, 0, "{refused:?}");
        assert!(refused.stderr.contains("invalid_request"), "{refused:?}");
    }
    let gateway = format!("http://127.0.0.1:{}", base + 1);
    for (profile, member) in [("brings.toml", "htsk"), ("known.toml", "jwk")] {
        let got = home.run(&["token", "get", "--json", "--profile", profile]);
        let got = got.ends_with(0).json();
        assert_eq!(got["token_type"], "httpsig", "{got}");
        let raw = home
            .run(&["token", "get", "--raw", "--profile", profile])
            .ends_with(0)
            .stdout;
        let payload = raw.split('.').nth(1).expect("a payload");
        let payload = keybound_proto::base64url::decode(payload.as_bytes()).expect("base64url");
        let claims: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
        assert!(claims["cnf"][member].is_object(), "{claims}");
        // A copy of the token is worth nothing by itself, whatever the scheme.
        let address = gateway.trim_start_matches("http://");
        for scheme in ["Bearer", "DPoP", "HTTPSig"] {
            let field = format!("Authorization: {scheme} {}\r\n", raw.trim());
            let answer = crate::program::http(address, "GET", "/signed/things", &field);
            assert!(answer.starts_with("HTTP/1.1 401"), "{scheme}: {answer}");
        }
        // 401 where proofs are asked for, and past the gateway where signatures are.
        let elsewhere = format!("{gateway}/things");
        home.run(&["request", "GET", &elsewhere, "--profile", profile])
            .ends_with(3);
        let signed = format!("{gateway}/signed/things");
        let passed = home
            .run(&["request", "POST", &signed, "id=1", "--profile", profile])
            .ends_with(8);
        assert!(
            passed.stderr.contains("502"),
            "{passed:?}\n{}",
            service.log()
        );
    }
    assert_eq!(service.stop(), 0);
}

//! Who gets a token: `tls_client_auth` by each name, `self_signed_tls_client_auth`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::pki::{self, AUTHORITY, CLIENT, NAMES, SUBJECT, Wanted};
use super::world::{Setting, World};
use crate::program::Home;

/// How a request is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Refused {
    /// In the handshake.
    Handshake,
    /// 401 `invalid_client`.
    Client,
}

#[track_caller]
fn refused(world: &World, client: &str, certificate: Option<&str>, expected: Refused) {
    let how = match world.ask_token(client, certificate) {
        None => Refused::Handshake,
        Some(answer) => {
            let told = (answer.status, answer.body["error"].as_str());
            assert_eq!(
                told,
                (401, Some("invalid_client")),
                "{client} {certificate:?}: {answer:?}"
            );
            assert!(answer.body.get("access_token").is_none());
            Refused::Client
        }
    };
    assert_eq!(how, expected, "{client} with {certificate:?}");
}

/// Everybody who might be taken for `batch`, and `batch`.
fn crowd() -> Home {
    let home = Home::new();
    pki::begin(&home);
    // The same names and the same name of the authority, by somebody else.
    pki::authority(&home, "other-ca", "/CN=our clients");
    let extensions = [CLIENT, NAMES].concat();
    let named = Wanted {
        extensions: &extensions,
        ..Wanted::client(SUBJECT)
    };
    let server_only = [
        "extendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:false\n",
        NAMES,
    ]
    .concat();
    let authority = [AUTHORITY, NAMES].concat();
    let other = [CLIENT, "subjectAltName=DNS:batch.example.com.evil.example,URI:spiffe://example.com/batch/x,IP:192.0.2.8,email:batch@example.com.evil.example\n"].concat();
    for (name, wanted) in [
        ("batch", named),
        (
            "impostor",
            Wanted {
                by: Some("other-ca"),
                ..named
            },
        ),
        ("selfmade", Wanted { by: None, ..named }),
        (
            "rival",
            Wanted {
                extensions: &other,
                ..Wanted::client("/O=Example, Inc./CN=batch2")
            },
        ),
        (
            "expired",
            Wanted {
                validity: ["3 days ago", "1 minute ago"],
                ..named
            },
        ),
        (
            "early",
            Wanted {
                validity: ["1 hour", "2 days"],
                ..named
            },
        ),
        (
            "server-only",
            Wanted {
                extensions: &server_only,
                ..named
            },
        ),
        (
            "authority",
            Wanted {
                extensions: &authority,
                ..named
            },
        ),
    ] {
        pki::make(&home, name, wanted);
    }
    home
}

#[test]
fn sc_174_the_five_names_deny_everybody_else_and_let_their_owner_in() {
    let home = crowd();
    let client = |key: &str, value: &str| {
        format!(
            "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_{key} = '{value}'"
        )
    };
    let clients = [
        ("dn", client("subject_dn", "CN=batch,O=Example\\, Inc.")),
        ("dns", client("san_dns", "batch.example.com")),
        ("uri", client("san_uri", "spiffe://example.com/batch")),
        ("ip", client("san_ip", "192.0.2.7")),
        ("email", client("san_email", "batch@example.com")),
    ];
    let clients = clients.each_ref().map(|(id, lines)| (*id, lines.as_str()));
    let world = World::start(
        home,
        &Setting {
            clients: &clients,
            ..Setting::default()
        },
    );
    for (client, _) in clients {
        refused(&world, client, None, Refused::Client);
        for (certificate, how) in [
            ("impostor", Refused::Client),
            ("selfmade", Refused::Client),
            ("rival", Refused::Client),
            ("expired", Refused::Handshake),
            ("early", Refused::Handshake),
            ("server-only", Refused::Client),
            ("authority", Refused::Client),
        ] {
            refused(&world, client, Some(certificate), how);
        }
        let token = world.token(client, "batch");
        let inspected = world
            .home
            .feed(&["token", "inspect", "--json"], &token)
            .ends_with(0)
            .json();
        assert_eq!(inspected["x5t_s256"], pki::thumbprint(&world.home, "batch"));
        assert_eq!(inspected["replayable"], "only_with_key");
    }
    let x5t = pki::thumbprint(&world.home, "batch");
    let issued = world.events("token_issued", |event| event["client_id"] == "dns");
    assert_eq!(
        (&issued[0]["certificate"], &issued[0]["binding"]),
        (&Value::from(x5t), &"mtls".into())
    );
    assert_eq!(world.service.stop(), 0);
}

/// With authorities at the listener, strangers do not get as far as the issuer.
#[test]
fn sc_168_a_listener_with_authorities_ends_the_handshake_of_everybody_else() {
    let home = Home::new();
    pki::begin(&home);
    pki::authority(&home, "other-ca", "/CN=our clients");
    let extensions = [CLIENT, NAMES].concat();
    let named = Wanted {
        extensions: &extensions,
        ..Wanted::client(SUBJECT)
    };
    let server_only = Wanted {
        extensions: "extendedKeyUsage=serverAuth\n",
        ..named
    };
    pki::make(&home, "batch", named);
    pki::make(
        &home,
        "impostor",
        Wanted {
            by: Some("other-ca"),
            ..named
        },
    );
    pki::make(&home, "server-only", server_only);
    pki::make(
        &home,
        "authority",
        Wanted {
            extensions: AUTHORITY,
            ..named
        },
    );
    let client = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_san_dns = \"batch.example.com\"";
    let setting = Setting {
        clients: &[("dns", client)],
        tls: "client_ca = \"pki/ca.pem\"",
        ..Setting::default()
    };
    let world = World::start(home, &setting);
    for stranger in ["impostor", "server-only", "authority"] {
        refused(&world, "dns", Some(stranger), Refused::Handshake);
        assert!(
            world.call("x.y.z", Some(stranger), &[]).is_none(),
            "{stranger} at the gateway"
        );
    }
    refused(&world, "dns", None, Refused::Client);
    world.token("dns", "batch");
}

#[test]
fn self_signed_certificates_are_known_by_themselves_or_by_their_key() {
    let home = Home::new();
    pki::begin(&home);
    let own = Wanted {
        by: None,
        ..Wanted::client("/CN=edge")
    };
    pki::make(&home, "edge", own);
    pki::make(
        &home,
        "edge.renewed",
        Wanted {
            key_of: Some("edge"),
            ..own
        },
    );
    pki::make(&home, "namesake", own);
    pki::make(
        &home,
        "expired",
        Wanted {
            key_of: Some("edge"),
            validity: ["3 days ago", "1 minute ago"],
            ..own
        },
    );
    std::fs::rename(
        home.path("pki/expired.pem"),
        home.path("pki/edge.expired.pem"),
    )
    .expect("moves");
    let certificate = pki::read(&home, "edge");
    let der = CertificateDer::from_pem_file(pki::file(&home, "edge", "pem")).expect("reads");
    let key = certificate.public_key().expect("a known kind").to_jwk();
    let x5c = format!(",\"x5c\":[\"{}\"]}}", STANDARD.encode(&der));
    let this_one = key.replace('}', &x5c);
    home.write("this.jwks.json", &format!("{{\"keys\":[{this_one}]}}"));
    home.write("any.jwks.json", &format!("{{\"keys\":[{key}]}}"));
    let client =
        |set: &str| format!("auth = \"self_signed_tls_client_auth\"\njwks = \"{set}.jwks.json\"");
    let (this, any) = (client("this"), client("any"));
    let clients = [("this", this.as_str()), ("any", any.as_str())];
    let world = World::start(
        home,
        &Setting {
            clients: &clients,
            ..Setting::default()
        },
    );
    for client in ["this", "any"] {
        refused(&world, client, None, Refused::Client);
        refused(&world, client, Some("namesake"), Refused::Client);
        refused(&world, client, Some("edge.expired"), Refused::Handshake);
        world.token(client, "edge");
    }
    refused(&world, "this", Some("edge.renewed"), Refused::Client);
    world.token("any", "edge.renewed");
}

/// What a client needs to know is in the metadata, and nothing but the issuer's URL leads there.
#[test]
fn discovery_leads_to_the_endpoints_that_ask_for_certificates() {
    let home = Home::new();
    pki::begin(&home);
    pki::make(&home, "batch", Wanted::client("/CN=batch"));
    let client = "auth = \"tls_client_auth\"\nclient_ca = \"pki/ca.pem\"\ntls_client_auth_subject_dn = \"CN=batch\"";
    let world = World::start(
        home,
        &Setting {
            clients: &[("dn", client)],
            ..Setting::default()
        },
    );
    let plain = format!("127.0.0.1:{}", world.issuer_port - 4);
    let answer = crate::program::http(&plain, "GET", "/.well-known/oauth-authorization-server", "");
    let (_, body) = answer.split_once("\r\n\r\n").expect("has a body");
    let metadata: Value = serde_json::from_str(body).expect("is JSON");
    let at = |path: &str| Value::from(format!("https://localhost:{}{path}", world.issuer_port));
    assert_eq!(
        metadata["mtls_endpoint_aliases"]["token_endpoint"],
        at("/token")
    );
    assert_eq!(
        metadata["mtls_endpoint_aliases"]["introspection_endpoint"],
        at("/introspect")
    );
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    assert_eq!(metadata["token_endpoint"], format!("http://{plain}/token"));
    // Where no certificate is asked for, nobody can have shown one.
    let form = [
        "--data",
        "grant_type=client_credentials",
        "--data",
        "client_id=dn",
    ];
    let url = format!("http://{plain}/token");
    let answer = world.curl(&url, None, &form).expect("answers");
    let told = (answer.status, answer.body["error"].as_str());
    assert_eq!(told, (401, Some("invalid_client")), "{answer:?}");
    world.token("dn", "batch");
}

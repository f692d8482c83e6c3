//! `init` and `config`: what a typo, a file that others can read, or a feature
//! of a later release is answered with.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::{Home, text};

/// A home with an initialized directory, and its configuration edited.
fn edited(edit: impl FnOnce(String) -> String) -> Home {
    let home = Home::new();
    home.run(&["init"]).ends_with(0);
    let path = home.path("keybound.toml");
    let written = fs::read_to_string(&path).expect("was written");
    fs::write(&path, edit(written)).expect("is edited");
    home
}

#[test]
fn a_typo_names_file_line_key_and_the_nearest_valid_key() {
    let home = edited(|toml| toml.replace("[issuer]\nurl", "[issuer]\nacces_ttl = \"5m\"\nurll"));
    let ended = home.run(&["config", "validate"]).ends_with(2);
    insta::assert_snapshot!(ended.stderr, @r"
    error: 2 problems in keybound.toml
      keybound.toml:9:1: unknown key `issuer.acces_ttl`; did you mean `access_ttl` of `[issuer.tokens]`?
      keybound.toml:10:1: unknown key `issuer.urll`; did you mean `url`?
    next: correct it, then check it with `keybound config validate`
    ");
}

#[test]
fn every_problem_is_shown_at_once() {
    let home = edited(|toml| {
        toml.replace("listen = \"127.0.0.1:9400\"", "listen = \"0.0.0.0:9400\"")
            .replace("enforcement = \"require\"", "enforcement = \"observe\"")
            .replace(
                "url = \"sqlite:data/keybound.db\"",
                "url = \"postgres://db/keybound\"",
            )
    });
    let ended = home.run(&["config", "validate", "--json"]).ends_with(2);
    let answer = ended.json();
    assert_eq!(answer["ok"], false);
    let problems = answer["problems"].as_array().expect("a list");
    assert_eq!(
        problems.len(),
        1,
        "what is not in the release is told before what does not fit: {problems:?}"
    );
    assert_eq!(problems[0]["key"], "gateway.route[0].enforcement");

    let home = edited(|toml| {
        toml.replace("listen = \"127.0.0.1:9400\"", "listen = \"0.0.0.0:9400\"")
            .replace(
                "url = \"sqlite:data/keybound.db\"",
                "url = \"postgres://db/keybound\"",
            )
            .replace(
                "[issuer.registration]",
                "[issuer.tokens]\naccess_ttl = \"2d\"\n[issuer.registration]",
            )
    });
    let answer = home
        .run(&["config", "validate", "--json"])
        .ends_with(2)
        .json();
    let keys: Vec<&str> = answer["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|problem| problem["key"].as_str())
        .collect();
    assert_eq!(
        keys,
        ["store.url", "issuer.listen", "issuer.tokens.access_ttl"]
    );
}

#[test]
fn shared_replay_logs_that_promise_too_much_are_refused() {
    for (replay, says) in [
        ("redis://:hunter2@127.0.0.1", "holds a password"),
        ("redis://cache.example.com", "without TLS"),
        ("memcached://127.0.0.1", "is no replay log"),
        (
            "redis-cluster://127.0.0.1:7000",
            "may forget a proof in a fail-over",
        ),
        (
            "redis://127.0.0.1?password_file=/nonexistent",
            "/nonexistent",
        ),
        ("postgres://127.0.0.1/replay", "names user and database"),
    ] {
        let line = format!("replay = \"{replay}\"\nstate_dir =");
        let home = edited(|toml| toml.replace("state_dir =", &line));
        let ended = home.run(&["config", "validate"]).ends_with(2);
        assert!(ended.stderr.contains(says), "{replay}: {ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    }
    for replay in [
        "redis://127.0.0.1",
        "postgres://kb@127.0.0.1/replay?log=unlogged",
    ] {
        let line = format!("replay = \"{replay}\"\nstate_dir =");
        let home = edited(|toml| toml.replace("state_dir =", &line));
        home.run(&["config", "validate"]).ends_with(0);
        let alone = edited(|toml| {
            let kept = toml
                .lines()
                .filter(|line| !line.starts_with("nonce_secret_file"));
            kept.collect::<Vec<_>>()
                .join("\n")
                .replace("state_dir =", &line)
        });
        let ended = alone.run(&["config", "validate"]).ends_with(2);
        assert!(ended.stderr.contains("need one nonce secret"), "{ended:?}");
    }
}

#[test]
fn a_feature_of_a_later_release_is_named_as_such() {
    for (from, to, says) in [
        (
            "enforcement = \"require\"",
            "enforcement = \"prefer\"",
            "this release supports `require` and `off`",
        ),
        (
            "auth = \"private_key_jwt\"",
            "auth = \"spiffe_jwt\"",
            "`private_key_jwt`, `client_secret_basic`",
        ),
    ] {
        let home = edited(|toml| toml.replace(from, to));
        let ended = home.run(&["config", "validate"]).ends_with(2);
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert!(ended.stderr.contains("not in this release"), "{ended:?}");
    }
}

#[test]
fn trust_domains_and_identities_fit_together() {
    let domain = "[[gateway.trust_domain]]\nname = \"example.org\"\nbundle_file = \"bundle.json\"\n[[gateway.route]]";
    let route = "identities = [\"spiffe://example.org/ns/prod/*\"]\nbinding_methods = [\"wimse\"]\nupstream =";
    let with = |route: &str, domain: &str, bundle: Option<&str>| {
        let home = edited(|toml| {
            toml.replacen("upstream =", route, 1)
                .replacen("[[gateway.route]]", domain, 1)
        });
        if let Some(bundle) = bundle {
            fs::write(home.path("bundle.json"), bundle).unwrap();
        }
        home.run(&["config", "validate"])
    };
    let empty = Some("{\"keys\":[]}");
    for (route, domain, bundle, says) in [
        (
            "binding_methods = [\"wimse\"]\nupstream =",
            domain,
            empty,
            "takes no workload",
        ),
        (
            route,
            "[[gateway.route]]",
            None,
            "trust domain that is not configured",
        ),
        (
            &route.replace("example.org", "example.org.evil.com"),
            domain,
            empty,
            "not configured",
        ),
        (
            &route.replace("/ns/prod/*", ""),
            domain,
            empty,
            "names no workload",
        ),
        (route, domain, None, "bundle.json"),
        (route, domain, Some("{"), "is no trust bundle"),
        (
            route,
            &domain.replace("example.org", "Example.org"),
            empty,
            "is not a trust domain",
        ),
        (
            route,
            &domain.replace("bundle_file = \"bundle.json\"\n", ""),
            empty,
            "exactly one place",
        ),
    ] {
        let ended = with(route, domain, bundle).ends_with(2);
        assert!(ended.stderr.contains(says), "{says}: {ended:?}");
    }
    with(route, domain, empty).ends_with(0);
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let home =
        edited(|toml| toml.replace("[issuer]", "key_encryption_key = \"hunter2\"\n[issuer]"));
    let ended = home.run(&["config", "validate"]).ends_with(2);
    assert!(
        ended.stderr.contains("secrets never stand in this file"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = edited(|toml| toml);
    for (file, key) in [
        ("secrets/kek", "store.key_encryption_key_file"),
        ("secrets/gateway-1.pem", "gateway.control.key"),
    ] {
        let path = home.path(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changes the mode");
        for command in [["config", "validate"].as_slice(), &["serve"]] {
            let ended = home.run(command).ends_with(2);
            assert!(
                ended.stderr.contains(key) && ended.stderr.contains("chmod 600"),
                "{ended:?}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changes the mode");
    }
    home.run(&["config", "validate"]).ends_with(0);
}

#[test]
fn a_missing_key_is_named() {
    let home = edited(|toml| toml);
    fs::remove_file(home.path("secrets/kek")).expect("removes it");
    let ended = home.run(&["config", "validate"]).ends_with(2);
    assert!(ended.stderr.contains("secrets/kek"), "{ended:?}");
}

#[test]
fn no_configuration_says_where_it_was_looked_for() {
    let ended = Home::new().run(&["serve"]).ends_with(2);
    assert!(
        ended.stderr.contains("keybound.toml") && ended.stderr.contains("keybound init"),
        "{ended:?}"
    );
}

#[test]
fn variables_override_the_file_and_a_typo_in_one_is_an_error() {
    let home = edited(|toml| toml);
    let show = |variables: &[(&str, &str)]| home.run_with(&["config", "show", "--json"], variables);
    let answer = show(&[("KEYBOUND_ISSUER__TOKENS__ACCESS_TTL", "2m")])
        .ends_with(0)
        .json();
    let values = answer["values"].as_array().expect("a list");
    let find = |key: &str| values.iter().find(|value| value["key"] == key).expect(key);
    assert_eq!(find("issuer.tokens.access_ttl")["value"], "2m");
    assert_eq!(
        find("issuer.tokens.access_ttl")["origin"],
        "KEYBOUND_ISSUER__TOKENS__ACCESS_TTL"
    );
    assert_eq!(find("issuer.rotation.every")["origin"], "default");
    assert!(
        find("issuer.url")["origin"]
            .as_str()
            .is_some_and(|origin| origin.starts_with("keybound.toml:"))
    );

    let ended = show(&[("KEYBOUND_ISSUER__LISTN", "127.0.0.1:1")]).ends_with(2);
    assert!(
        ended.stderr.contains("KEYBOUND_ISSUER__LISTN")
            && ended.stderr.contains("did you mean `listen`?"),
        "{ended:?}"
    );
}

#[test]
fn secrets_of_the_environment_are_used_and_not_shown() {
    let home = edited(|toml| toml);
    let kek = fs::read_to_string(home.path("secrets/kek")).expect("was written");
    fs::remove_file(home.path("secrets/kek")).expect("removes it");
    let variables = [("KEYBOUND_STORE__KEY_ENCRYPTION_KEY", kek.trim())];
    home.run_with(&["config", "validate"], &variables)
        .ends_with(0);
    let shown = home.run_with(&["config", "show"], &variables).ends_with(0);
    assert!(
        shown.stdout.contains("KEYBOUND_STORE__KEY_ENCRYPTION_KEY"),
        "{shown:?}"
    );
    assert!(!shown.stdout.contains(kek.trim()), "{shown:?}");
}

#[test]
fn init_writes_private_files_and_overwrites_nothing() {
    let home = Home::new();
    let written = home.run(&["init", "site", "--json"]).ends_with(0).json();
    for file in written["files"].as_array().expect("a list") {
        let path = home.path(file.as_str().expect("a path"));
        let mode = fs::metadata(&path).expect("exists").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    let mode = fs::metadata(home.path("site/secrets"))
        .expect("exists")
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode, 0o700);

    let before = fs::read(home.path("site/secrets/kek")).expect("reads");
    let ended = home.run(&["init", "site"]).ends_with(2);
    assert!(ended.stderr.contains("exists already"), "{ended:?}");
    assert_eq!(
        fs::read(home.path("site/secrets/kek")).expect("reads"),
        before
    );
}

#[test]
fn a_variable_may_hold_the_whole_configuration() {
    let home = edited(|toml| toml);
    let toml = fs::read_to_string(home.path("keybound.toml")).expect("reads");
    fs::remove_file(home.path("keybound.toml")).expect("removes it");
    home.run_with(&["config", "validate"], &[("KEYBOUND_CONFIG_TOML", &toml)])
        .ends_with(0);
    let typo = toml.replace("[control]", "[contrl]");
    let ended = home
        .run_with(&["config", "validate"], &[("KEYBOUND_CONFIG_TOML", &typo)])
        .ends_with(2);
    assert!(
        ended.stderr.contains("KEYBOUND_CONFIG_TOML:")
            && ended.stderr.contains("did you mean `control`?"),
        "{ended:?}"
    );
}

#[test]
fn the_schema_knows_every_section() {
    let schema = Home::new().run(&["config", "schema"]).ends_with(0).json();
    for section in ["store", "issuer", "gateway", "control", "management"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_flag_names_the_file() {
    let home = edited(|toml| toml);
    let other = home.path("other.toml");
    fs::rename(home.path("keybound.toml"), &other).expect("moves it");
    home.run(&["config", "validate"]).ends_with(2);
    home.run(&["config", "validate", "--config", text(&other)])
        .ends_with(0);
    home.run_with(
        &["config", "validate"],
        &[("KEYBOUND_CONFIG", text(&other))],
    )
    .ends_with(0);
}

/// The keys of the problems that these lines make at the end of a good configuration.
fn problems_of(lines: &str) -> Vec<String> {
    let home = edited(|toml| format!("{toml}\n{lines}"));
    let secret = home.path("asked.secret");
    fs::write(&secret, "a secret").expect("is written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("changes the mode");
    let ended = home.run(&["config", "validate", "--json"]);
    let answer = ended.json();
    answer["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|problem| problem["key"].as_str().map(str::to_owned))
        .collect()
}

fn asked(url: &str, more: &str) -> String {
    format!(
        "[[gateway.issuer]]\nurl = \"{url}\"\n[gateway.issuer.introspection]\nclient_id = \"gateway-1\"\n{more}\n"
    )
}

#[test]
fn an_issuer_that_cannot_be_asked_is_a_problem() {
    let secret = "client_secret_file = \"asked.secret\"";
    let one = |more: &str| problems_of(&asked("https://a.example.com", more));
    let place = "gateway.issuer[1].introspection";
    assert_eq!(one(""), [place], "without credentials");
    assert_eq!(
        one("client_secret_file = \"missing\""),
        [format!("{place}.client_secret_file")]
    );
    assert_eq!(
        one(&format!(
            "{secret}\nendpoint = \"http://a.example.com/introspect\""
        )),
        [format!("{place}.endpoint")]
    );
    assert_eq!(
        one(&format!("{secret}\ncache_ttl = \"1h\"")),
        [format!("{place}.cache_ttl")]
    );
    assert_eq!(
        one(&format!("{secret}\ntoken_prefix = \"\"")),
        [format!("{place}.token_prefix")]
    );
    assert!(one(secret).is_empty());
}

#[test]
fn two_issuers_that_could_be_asked_about_one_token_are_a_problem() {
    let secret = "client_secret_file = \"asked.secret\"";
    let two = |first: &str, second: &str| {
        let first = asked("https://a.example.com", &format!("{secret}\n{first}"));
        let second = asked("https://b.example.com", &format!("{secret}\n{second}"));
        problems_of(&format!("{first}{second}"))
    };
    let same = two("token_prefix = \"a_\"", "token_prefix = \"a_\"");
    assert!(same.iter().all(|key| key.starts_with("gateway.route[")));
    assert!(!same.is_empty());
    assert_eq!(two("", ""), same);
    assert!(two("token_prefix = \"a_\"", "token_prefix = \"b_\"").is_empty());
    assert!(two("token_prefix = \"a_\"", "").is_empty());
}

#[test]
fn a_jwt_never_lacks_its_audience_and_a_route_takes_known_issuers_only() {
    let lines = "[[gateway.issuer]]\nurl = \"https://a.example.com\"\nmay_lack = [\"aud\"]";
    assert_eq!(problems_of(lines), ["gateway.issuer[1].may_lack"]);
    let lines = "[[gateway.route]]\npath = \"/other\"\nupstream = \"http://127.0.0.1:1\"\nenforcement = \"require\"\nissuers = [\"https://nobody.example.com\"]";
    let problems = problems_of(lines);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].ends_with(".issuers[0]"), "{problems:?}");
}

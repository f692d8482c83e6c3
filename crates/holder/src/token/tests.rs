//! Answers of token endpoints, refusals first.

use bytes::Bytes;
use http::HeaderMap;

use super::*;

fn judged(status: u16, body: &str) -> Result<Judgement, HolderError> {
    judged_as("DPoP", status, body)
}

fn judged_as(token_type: &'static str, status: u16, body: &str) -> Result<Judgement, HolderError> {
    let endpoint = HttpUrl::parse("https://auth.example/token?tenant=x").expect("a URL");
    let asked = Asked {
        token_type,
        endpoint: &endpoint,
        jkt: Jkt::from_bytes([7; 32]),
        at: UnixTime::from_secs(1000),
    };
    let answer = Incoming {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    judge(&asked, &answer)
}

#[test]
fn sc_286_a_token_of_another_type_is_dropped() {
    for token_type in [
        "Bearer",
        "bearer",
        "mac",
        "N_A",
        "DPoP Bearer",
        "DPo\u{440}",
        "",
    ] {
        let body = format!(
            r#"{{"access_token":"canary-token","token_type":"{token_type}","expires_in":60}}"#
        );
        let error = judged(200, &body).expect_err(token_type);
        assert!(matches!(error, HolderError::NotBound { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("canary"));
    }
    // A signed request gets a token for signatures, and a proof one for proofs.
    for (asked, got) in [
        ("httpsig", "DPoP"),
        ("httpsig", "Bearer"),
        ("DPoP", "httpsig"),
    ] {
        let body = format!(r#"{{"access_token":"a","token_type":"{got}","expires_in":60}}"#);
        let error = judged_as(asked, 200, &body).expect_err(got);
        assert!(matches!(error, HolderError::NotBound { .. }), "{error:?}");
    }
}

#[test]
fn unusable_answers_are_refused() {
    let long = "a".repeat(MAX_TOKEN_BYTES + 1);
    for body in [
        "",
        "<html>",
        "[]",
        r#"{"access_token":"a"}"#,
        r#"{"token_type":"DPoP"}"#,
        r#"{"access_token":"a","access_token":"b","token_type":"DPoP"}"#,
        r#"{"access_token":"a","token_type":"DPoP","token_type":"Bearer"}"#,
        r#"{"access_token":1,"token_type":"DPoP"}"#,
        r#"{"access_token":"","token_type":"DPoP"}"#,
        r#"{"access_token":"a b","token_type":"DPoP"}"#,
        r#"{"access_token":"a\r\nx: y","token_type":"DPoP"}"#,
        r#"{"access_token":"a,b","token_type":"DPoP"}"#,
        r#"{"access_token":"a=b","token_type":"DPoP"}"#,
        &format!(r#"{{"access_token":"{long}","token_type":"DPoP"}}"#),
        r#"{"access_token":"a","token_type":"DPoP","expires_in":"60"}"#,
        r#"{"access_token":"a","token_type":"DPoP","expires_in":-1}"#,
        r#"{"access_token":"a","token_type":"DPoP","expires_in":0}"#,
        r#"{"access_token":"a","token_type":"DPoP","scope":["a"]}"#,
    ] {
        let error = judged(200, body).expect_err(body);
        assert!(
            matches!(error, HolderError::ResponseInvalid { .. }),
            "{body}: {error:?}"
        );
    }
}

#[test]
fn refusals_keep_the_code_and_clean_words() {
    let body = r#"{"error":"invalid_client","error_description":"no\nsuch \u001b[31mclient"}"#;
    let error = judged(401, body).expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "`https://auth.example/token` refused with status 401: invalid_client, no?such ?[31mclient"
    );
    assert!(!error.is_transient());
    let error = judged(404, "<html>").expect_err("a refusal");
    assert!(error.to_string().ends_with("404: no error code"), "{error}");
    // A nonce challenge is one by its code and an error status only.
    assert!(judged(201, r#"{"error":"use_dpop_nonce"}"#).is_err());
}

#[test]
fn an_overloaded_issuer_is_transient() {
    for status in [429, 500, 503] {
        let error = judged(status, r#"{"error":"use_dpop_nonce"}"#).expect_err("unavailable");
        assert!(error.is_transient(), "{error:?}");
    }
}

#[test]
fn a_bound_token_is_kept_and_not_shown() {
    for token_type in ["DPoP", "dpop", "DPOP"] {
        let body = format!(
            r#"{{"access_token":"canary-token","token_type":"{token_type}","expires_in":60,"scope":"a b","x":1}}"#
        );
        let Ok(Judgement::Token(token)) = judged(200, &body) else {
            panic!("{token_type} is bound");
        };
        assert_eq!(token.expose(), "canary-token");
        assert_eq!(token.scope(), Some("a b"));
        assert_eq!(token.expires_at(), UnixTime::from_secs(1060));
        assert_eq!(*token.hash(), TokenHash::of(b"canary-token"));
        assert!(!format!("{token:?}").contains("canary"), "{token:?}");
    }
    let body = r#"{"access_token":"a","token_type":"DPoP","expires_in":18446744073709551615}"#;
    assert!(matches!(judged(200, body), Ok(Judgement::Token(_))));
    let body = r#"{"access_token":"a","token_type":"DPoP"}"#;
    let Ok(Judgement::Token(token)) = judged(200, body) else {
        panic!("a token without a stated lifetime is usable");
    };
    assert_eq!(
        token.expires_at(),
        UnixTime::from_secs(1000 + ASSUMED_LIFETIME)
    );
}

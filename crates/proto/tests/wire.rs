//! What refusals look like on the wire (RFC 9449 sections 5, 7.1, 8, 9; RFC 6750 section 3).

use keybound_proto::binding::{BindingMethod, BindingMethods};
use keybound_proto::jose::AlgorithmSet;
use keybound_proto::wire::{Answer, AnswerContext, ErrorDetail, Role, answer};
use keybound_proto::{Cause, Rejection};
use serde_json::Value;

fn context(role: Role, detail: ErrorDetail) -> AnswerContext<'static> {
    AnswerContext {
        role,
        methods: BindingMethods::ALL,
        algorithms: AlgorithmSet::PROOF_DEFAULT,
        resource_metadata: Some("https://api.example.com/.well-known/oauth-protected-resource"),
        scope: Some("approvals:read"),
        nonce: Some("n"),
        request_id: "req_1",
        detail,
    }
}

fn at(role: Role, cause: Cause) -> Answer {
    answer(&Rejection::new(cause), &context(role, ErrorDetail::Minimal))
}

#[test]
fn sc_096_a_required_nonce_is_400_at_the_issuer_and_401_at_the_resource() {
    let issuer = at(Role::AuthorizationServer, Cause::DpopNonceAbsent);
    assert_eq!((issuer.status, issuer.challenge), (400, None));
    assert!(issuer.body.contains("\"error\":\"use_dpop_nonce\""));
    let resource = at(Role::ResourceServer, Cause::DpopNonceAbsent);
    assert_eq!(resource.status, 401);
    assert!(
        resource
            .challenge
            .unwrap()
            .starts_with("DPoP error=\"use_dpop_nonce\"")
    );
    assert_eq!(resource.dpop_nonce.as_deref(), Some("n"));
}

/// RFC 8705 section 3: a certificate-bound token is sent as `Bearer`, so that is what is asked for
/// where nothing else is taken.
#[test]
fn the_scheme_of_the_challenge_is_one_the_route_takes() {
    for (methods, scheme) in [
        (&[BindingMethod::Mtls][..], "Bearer"),
        (
            &[BindingMethod::HttpSignature, BindingMethod::Mtls],
            "HTTPSig",
        ),
        (&[BindingMethod::Dpop, BindingMethod::Mtls], "DPoP"),
    ] {
        let context = AnswerContext {
            methods: BindingMethods::of(methods),
            ..context(Role::ResourceServer, ErrorDetail::Minimal)
        };
        let challenge = answer(&Rejection::new(Cause::CertificateMismatch), &context).challenge;
        let challenge = challenge.unwrap();
        let start = format!("{scheme} error=\"invalid_token\"");
        assert!(challenge.starts_with(&start), "{challenge}");
        assert_eq!(challenge.contains("algs="), scheme == "DPoP", "{challenge}");
    }
}

#[test]
fn no_credentials_are_challenged_without_an_error() {
    let answer = at(Role::ResourceServer, Cause::AuthorizationAbsent);
    let challenge = answer.challenge.unwrap();
    assert_eq!(answer.status, 401);
    assert!(!challenge.contains("error"), "{challenge}");
    assert!(challenge.contains("algs=\"ES256 EdDSA\""), "{challenge}");
    assert!(
        challenge.contains("resource_metadata=\"https://api"),
        "{challenge}"
    );
}

#[test]
fn status_and_error_of_the_cases_the_rfcs_name() {
    let cases = [
        (Cause::DpopAbsent, 401, "invalid_dpop_proof", 400),
        (Cause::DpopReplayed, 401, "invalid_dpop_proof", 400),
        (Cause::TokenKeyMismatch, 401, "invalid_token", 401),
        (Cause::TokenSchemeDowngrade, 401, "invalid_token", 401),
        (Cause::AuthorizationMultiple, 400, "invalid_request", 400),
        (Cause::ScopeInsufficient, 403, "insufficient_scope", 403),
        (Cause::ReplayFull, 503, "temporarily_unavailable", 503),
        (
            Cause::ReplayUnavailable,
            503,
            "temporarily_unavailable",
            503,
        ),
        (Cause::ReplayFlood, 429, "slow_down", 429),
        (Cause::ClientSecretMismatch, 401, "invalid_client", 401),
        (Cause::ResourceInvalid, 400, "invalid_target", 400),
        (Cause::ClientBindingRequired, 401, "invalid_dpop_proof", 400),
    ];
    for (cause, resource, error, issuer) in cases {
        let answer = at(Role::ResourceServer, cause);
        assert_eq!(answer.status, resource, "{cause}");
        assert!(
            answer.body.contains(&format!("\"error\":\"{error}\"")),
            "{cause}"
        );
        assert_eq!(
            at(Role::AuthorizationServer, cause).status,
            issuer,
            "{cause}"
        );
    }
}

#[test]
fn unavailable_answers_say_when_to_retry() {
    for cause in Cause::ALL {
        let answer = at(Role::ResourceServer, *cause);
        assert_eq!(
            answer.retry_after.is_some(),
            matches!(answer.status, 429 | 503),
            "{cause}"
        );
    }
}

#[test]
fn a_minimal_answer_never_says_which_check_failed() {
    for cause in Cause::ALL {
        for role in [Role::AuthorizationServer, Role::ResourceServer] {
            let secret = "eyJ0eXAi-planted";
            let rejection = Rejection::new(*cause)
                .expected(secret)
                .got(secret)
                .clock_skew(7);
            let answer = answer(&rejection, &context(role, ErrorDetail::Minimal));
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(body["request_id"], "req_1");
            assert!(!answer.body.contains(cause.id()), "{cause}");
            assert!(!answer.body.contains(secret), "{cause}");
            assert!(
                !answer.challenge.unwrap_or_default().contains(secret),
                "{cause}"
            );
        }
    }
}

#[test]
fn a_full_answer_names_cause_expected_and_got() {
    let rejection = Rejection::new(Cause::DpopHtuMismatch)
        .expected("https://a/")
        .got("https://b/");
    let answer = answer(
        &rejection,
        &context(Role::ResourceServer, ErrorDetail::Full),
    );
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["cause"], "dpop.htu.mismatch");
    assert_eq!(body["expected"], "https://a/");
    assert_eq!(body["got"], "https://b/");
}

#[test]
fn sc_150_nothing_can_break_out_of_a_challenge() {
    let mut context = context(Role::ResourceServer, ErrorDetail::Minimal);
    context.scope = Some("a\"b\r\nX: y\\");
    context.resource_metadata = Some("https://x/\"\r\n");
    let challenge = answer(&Cause::ScopeInsufficient.into(), &context)
        .challenge
        .unwrap();
    assert!(!challenge.contains(['\r', '\n', '\\']));
    assert_eq!(challenge.matches('"').count() % 2, 0);
}

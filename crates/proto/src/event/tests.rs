use proptest::prelude::*;

use super::*;

fn bare() -> Event {
    Event::new(&[1; 16], 5, "gateway-1", EventKind::Locked)
}

fn with_member(member: &str) -> String {
    bare()
        .to_json_line()
        .replacen('{', &format!("{{{member},"), 1)
}

#[test]
fn unknown_member_is_refused() {
    assert!(Event::from_json(with_member(r#""surprise":1"#).as_bytes()).is_err());
}

#[test]
fn repeated_member_is_refused() {
    for repeated in [r#""node":"x""#, r#""n\u006fde":"x""#, r#""count":2"#] {
        assert!(
            Event::from_json(with_member(repeated).as_bytes()).is_err(),
            "{repeated}"
        );
    }
}

#[test]
fn text_over_its_bound_is_refused() {
    let fits = format!(r#""jkt":"{}""#, "x".repeat(MAX_SHORT_TEXT));
    let over = format!(r#""jkt":"{}""#, "x".repeat(MAX_SHORT_TEXT + 1));
    assert!(Event::from_json(with_member(&over).as_bytes()).is_err());
    assert!(Event::from_json(with_member(&fits).as_bytes()).is_ok());
}

#[test]
fn too_many_audiences_are_refused() {
    let list = |count: usize| format!(r#""audience":[{}]"#, vec![r#""a""#; count].join(","));
    assert!(Event::from_json(with_member(&list(MAX_AUDIENCES + 1)).as_bytes()).is_err());
    assert!(Event::from_json(with_member(&list(MAX_AUDIENCES)).as_bytes()).is_ok());
}

#[test]
fn control_characters_null_and_wrong_types_are_refused() {
    for member in [
        r#""path":"a\nb""#,
        r#""path":null"#,
        r#""path":7"#,
        r#""time_ms":-1"#,
        r#""kind":"unheard_of""#,
        r#""signal":"guess""#,
        r#""expires_at":1.5"#,
    ] {
        let text = if member.starts_with("\"time_ms") {
            bare().to_json_line().replace(r#""time_ms":5"#, member)
        } else if member.starts_with("\"kind") {
            bare().to_json_line().replace(r#""kind":"locked""#, member)
        } else {
            with_member(member)
        };
        assert!(Event::from_json(text.as_bytes()).is_err(), "{member}");
    }
}

#[test]
fn error_does_not_repeat_the_input() {
    let error = Event::from_json(br#"{"id":"kbr_verysecret"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn names_agree_with_their_json() {
    for kind in EventKind::ALL {
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        assert_eq!(EventKind::from_name(kind.as_str()), Some(kind));
    }
    for signal in TheftSignal::ALL {
        assert_eq!(
            serde_json::to_string(&signal).unwrap(),
            format!("\"{signal}\"")
        );
    }
}

proptest! {
    #[test]
    fn what_is_built_can_be_read_again(text in ".{0,3000}", list in proptest::collection::vec(".{0,40}", 0..40)) {
        let event = Event::new(&[2; 16], u64::MAX, &text, EventKind::RequestRefused)
            .with_cause(&text).with_token_sha256(&text).with_token_id(&text).with_jkt(&text)
            .with_issuer(&text).with_identity(&text).with_client_id(&text).with_scope(&text)
            .with_route(&text).with_method(&text).with_path(&text).with_peer(&text)
            .with_request_id(&text).with_expected(&text).with_got(&text).with_reason(&text)
            .with_by(&text).with_audience(&list).with_signal(TheftSignal::KeyMismatch)
            .with_expires_at(u64::MAX).with_clock_skew(i64::MIN).with_count(3).with_propagation_ms(9);
        let line = event.to_json_line();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(Event::from_json(line.as_bytes()).unwrap(), event);
    }
}

//! RFC 9421: appendix B, and what sections 2.1 to 2.4 print.

use keybound_proto::signature::{
    Cover, DigestAlgorithm, ExpectedDigest, HttpSignature, SignatureRules, SignedRequest,
    SignedResponse, content_digest,
};
use keybound_proto::time::UnixTime;
use keybound_proto::uri::Origin;

use crate::printed::{CREATED, Printed, anything, field_lines, load, public, text, verify, views};

#[test]
fn rfc_9421_b_2_signatures() {
    let file = load("rfc9421_httpsig.json");
    let recomputed = text(&file["test_response_content_digest_recomputed"]);
    let mut count = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let Some(target) = vector["target"].as_str() else {
            continue;
        };
        let mut printed = Printed::parse(text(&file["test_request"]));
        let label = text(&vector["label"]);
        let signature = format!("{label}=:{}:", text(&vector["signature_b64"]));
        let input = format!("{label}={}", text(&vector["signature_input"]));
        if target == "response" {
            printed.fields = field_lines(&format!(
                "Date: Tue, 20 Apr 2021 02:07:56 GMT\nContent-Type: application/json\n\
                 Content-Digest: {recomputed}\nContent-Length: 23"
            ));
        }
        printed.add("signature-input", &input);
        printed.add("signature", &signature);
        let read = || {
            if target == "request" {
                return printed.read(&anything(), CREATED).unwrap();
            }
            let lines = views(&printed.fields);
            let response = SignedResponse {
                status: 200,
                fields: &lines.as_slice(),
                trailers: None,
                request: None,
            };
            HttpSignature::read(&anything(), response, UnixTime::from_secs(CREATED)).unwrap()
        };
        assert_eq!(
            read().signature_base(),
            text(&vector["signature_base"]),
            "{label}"
        );
        assert_eq!(read().keyid(), vector["keyid"].as_str());
        verify(read, vector, &file["keys"]);
        count += 1;
    }
    assert_eq!(count, 6);
}

#[test]
fn rfc_9421_digests_are_those_of_the_printed_content() {
    let file = load("rfc9421_httpsig.json");
    let printed = Printed::parse(text(&file["test_request"]));
    let lines = views(&printed.fields);
    let expected = ExpectedDigest::read(&lines.as_slice()).unwrap().unwrap();
    assert!(expected.check(b"{\"hello\": \"World\"}").is_err());
    assert!(expected.check(printed.body.as_bytes()).is_ok());
    assert_eq!(
        content_digest(
            DigestAlgorithm::Sha512,
            text(&file["test_response_body"]).as_bytes()
        ),
        text(&file["test_response_content_digest_recomputed"])
    );
}

#[test]
fn rfc_9421_b_3_terminated_tls() {
    let file = load("rfc9421_httpsig.json");
    let vector = &file["vectors"].as_array().unwrap()[6];
    assert_eq!(vector["label"], "ttrp");
    let printed = Printed::parse(text(&vector["http"]));
    let read = || printed.read(&anything(), CREATED).unwrap();
    assert_eq!(read().signature_base(), text(&vector["signature_base"]));
    assert!(read().covers("client-cert"));
    verify(read, vector, &file["keys"]);
}

#[test]
fn rfc_9421_b_4_transformed_messages() {
    let file = load("rfc9421_httpsig.json");
    let vector = &file["vectors"].as_array().unwrap()[7];
    let key = public(&file["keys"]["test-key-ed25519"]);
    let mut valid = 0;
    for message in vector["messages"].as_array().unwrap() {
        let printed = Printed::parse(text(&message["http"]));
        let signature = printed.read(&anything(), CREATED).unwrap();
        let expected = message["signature_must_verify"].as_bool().unwrap();
        let same = signature.signature_base() == text(&vector["signature_base"]);
        assert_eq!(same, expected, "{}", printed.first);
        assert_eq!(
            signature.verify(&key).is_ok(),
            expected,
            "{}",
            printed.first
        );
        valid += usize::from(expected);
    }
    assert_eq!(
        (valid, vector["messages"].as_array().unwrap().len()),
        (4, 6)
    );
}

/// RFC 9421 sections 2.1.1 to 2.1.4: fields as the RFC prints them, and what they become.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn rfc_9421_section_2_fields() {
    let fields = field_lines(
        "Host: www.example.com\nDate: Tue, 20 Apr 2021 02:07:56 GMT\n\
         X-OWS-Header:   Leading and trailing whitespace.   \nX-Empty-Header:\n\
         Cache-Control: max-age=60\nCache-Control:    must-revalidate\n\
         Example-Dict:  a=1,    b=2;x=1;y=2,   c=(a   b   c), d\n\
         Example-Header: value, with, lots\nExample-Header: of, commas\n\
         Signature-Agent:   a=1,   b=2;x=1;y=2",
    );
    let lines = views(&fields);
    let origin = Origin::parse("https://www.example.com").unwrap();
    let value = |input: &str, target: &str, trailers: Option<&[(&str, &[u8])]>| {
        let covered = format!("sig=({input});created={CREATED}");
        let mut lines = lines.clone();
        lines.push(("signature-input", covered.as_bytes()));
        lines.push(("signature", b"sig=:AAAA:"));
        let trailers = trailers.as_ref();
        let request = SignedRequest {
            method: "POST",
            origin: &origin,
            request_target: target,
            fields: &lines.as_slice(),
            trailers: trailers.map(|trailers| trailers as _),
        };
        HttpSignature::read(&anything(), request, UnixTime::from_secs(CREATED))
            .map(|signature| {
                let (first, _) = signature.signature_base().split_once('\n').unwrap();
                first.to_owned()
            })
            .map_err(|rejection| rejection.cause().id())
    };
    for (input, target, expected) in [
        (
            "\"x-ows-header\"",
            "/",
            "\"x-ows-header\": Leading and trailing whitespace.",
        ),
        ("\"x-empty-header\"", "/", "\"x-empty-header\": "),
        (
            "\"cache-control\"",
            "/",
            "\"cache-control\": max-age=60, must-revalidate",
        ),
        (
            "\"example-dict\"",
            "/",
            "\"example-dict\": a=1,    b=2;x=1;y=2,   c=(a   b   c), d",
        ),
        (
            "\"signature-agent\";sf",
            "/",
            "\"signature-agent\";sf: a=1, b=2;x=1;y=2",
        ),
        (
            "\"example-dict\";key=\"a\"",
            "/",
            "\"example-dict\";key=\"a\": 1",
        ),
        (
            "\"example-dict\";key=\"b\"",
            "/",
            "\"example-dict\";key=\"b\": 2;x=1;y=2",
        ),
        (
            "\"example-dict\";key=\"c\"",
            "/",
            "\"example-dict\";key=\"c\": (a b c)",
        ),
        (
            "\"example-dict\";key=\"d\"",
            "/",
            "\"example-dict\";key=\"d\": ?1",
        ),
        (
            "\"example-header\";bs",
            "/",
            "\"example-header\";bs: :dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:",
        ),
        ("\"@method\"", "/", "\"@method\": POST"),
        (
            "\"@target-uri\"",
            "/path?param=value",
            "\"@target-uri\": https://www.example.com/path?param=value",
        ),
        ("\"@authority\"", "/", "\"@authority\": www.example.com"),
        ("\"@scheme\"", "/", "\"@scheme\": https"),
        (
            "\"@request-target\"",
            "/path?param=value",
            "\"@request-target\": /path?param=value",
        ),
        ("\"@path\"", "/path?param=value", "\"@path\": /path"),
        ("\"@path\"", "", "\"@path\": /"),
        (
            "\"@query\"",
            "/path?param=value&foo=bar&baz=bat%2Dman",
            "\"@query\": ?param=value&foo=bar&baz=bat%2Dman",
        ),
        (
            "\"@query\"",
            "/path?queryString",
            "\"@query\": ?queryString",
        ),
        ("\"@query\"", "/path", "\"@query\": ?"),
        (
            "\"@query-param\";name=\"baz\"",
            "/path?param=value&foo=bar&baz=batman&qux=",
            "\"@query-param\";name=\"baz\": batman",
        ),
    ] {
        assert_eq!(value(input, target, None).as_deref(), Ok(expected));
    }
    let trailers: &[(&str, &[u8])] = &[("expires", b"Wed, 9 Nov 2022 07:28:00 GMT")];
    assert_eq!(value("\"expires\";tr", "/", None), Err("httpsig.component"));
    assert_eq!(
        value("\"expires\"", "/", Some(trailers)),
        Err("httpsig.component")
    );
    assert_eq!(
        value("\"expires\";tr", "/", Some(trailers)).as_deref(),
        Ok("\"expires\";tr: Wed, 9 Nov 2022 07:28:00 GMT")
    );
    for refused in [
        "\"example-dict\";sf",
        "\"example-dict\";key=\"q\"",
        "\"x-ows-header\";key=\"a\"",
        "\"example-header\";bs;key=\"a\"",
        "\"signature-agent\";bs;sf",
        "\"date\";sf=?0",
        "\"date\";req",
        "\"date\";name=\"x\"",
        "\"@query-param\"",
        "\"@path\";name=\"x\"",
        "\"@path\";key=\"x\"",
        "\"@path\";tr",
        "\"@path\";bs",
        "date",
        "1",
        "\"\"",
        "\"@\"",
        "\"date\" \"date\"",
        "\"date\";bs \"date\";bs",
        "\"da te\"",
        "\"date:\"",
    ] {
        assert_eq!(
            value(refused, "/path?x=1", None),
            Err("httpsig.component"),
            "{refused}"
        );
    }
    // The order of component parameters does not make two components of one.
    let twice = "\"signature-agent\";sf;key=\"a\" \"signature-agent\";key=\"a\";sf";
    assert_eq!(value(twice, "/", None), Err("httpsig.component"));
}

/// RFC 9421 section 2.4: an answer's signature covers parts of its request, its signature too.
#[test]
fn rfc_9421_2_4_request_response_binding() {
    let origin = Origin::parse("https://origin.host.internal.example").unwrap();
    let asked: &[(&str, &[u8])] = &[("signature", b"sig1=:AAAA:"), ("date", b"today")];
    let fields: &[(&str, &[u8])] = &[
        (
            "signature-input",
            b"sig=(\"@status\" \"@path\";req \"signature\";req;key=\"sig1\");created=1618884473",
        ),
        ("signature", b"sig=:AAAA:"),
    ];
    let read = |request| {
        let response = SignedResponse {
            status: 503,
            fields: &fields,
            trailers: None,
            request,
        };
        let rules = SignatureRules {
            cover: const { &[Cover::always("@status")] },
            ..anything()
        };
        HttpSignature::read(&rules, response, UnixTime::from_secs(CREATED))
    };
    assert!(read(None).is_err(), "the request is not known");
    let signature = read(Some(SignedRequest {
        method: "POST",
        origin: &origin,
        request_target: "/foo?x",
        fields: &asked,
        trailers: None,
    }));
    assert!(signature.unwrap().signature_base().starts_with(
        "\"@status\": 503\n\"@path\";req: /foo\n\"signature\";req;key=\"sig1\": :AAAA:\n\"@signature-params\": "
    ));
}

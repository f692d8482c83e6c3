//! HTTP message signatures: structured fields, the fields of a signature, digests, keys and
//! directories.

use keybound_proto::{
    dpop::ProofWindow,
    signature::{
        Component, ContentIntact, DigestAlgorithm, ExpectedDigest, HttpSignature, InlineKeySource,
        Select, SignatureAlgorithms, SignatureInput, SignatureParameters, SignatureRules,
        SignedRequest, SignedResponse,
        agent::{AgentDirectory, DIRECTORY_PATH, DIRECTORY_TAG},
        content_digest, profile, signature_key,
    },
    structured::{Dictionary, Item, List},
    uri::Origin,
};

use super::{KEY, METHOD, NOW, PUBLIC_KEY};

type Lines<'a> = Vec<(&'a str, &'a [u8])>;

fn origin() -> Origin {
    Origin::parse("https://api.example.com").expect("a valid origin")
}

fn request<'a>(origin: &'a Origin, fields: &'a Lines<'a>) -> HttpRequest<'a> {
    HttpRequest {
        origin,
        fields: fields.as_slice(),
    }
}

/// A request whose fields outlive the view of it.
struct HttpRequest<'a> {
    origin: &'a Origin,
    fields: &'a [(&'a str, &'a [u8])],
}

impl HttpRequest<'_> {
    fn read(&self, rules: &SignatureRules<'_>) -> Option<HttpSignature> {
        let signed = SignedRequest {
            method: METHOD,
            origin: self.origin,
            request_target: "/approvals?state=open&state=all&id=1",
            fields: &self.fields,
            trailers: None,
        };
        HttpSignature::read(rules, signed, NOW).ok()
    }
}

/// A field of each type; what is read is written so that it reads the same.
pub(crate) fn structured(input: &[u8]) -> bool {
    let mut accepted = false;
    if let Ok(item) = Item::parse(input) {
        let text = item.to_string();
        let again = Item::parse(text.as_bytes()).expect("what was written");
        assert_eq!(again.to_string(), text);
        accepted = true;
    }
    if let Ok(list) = List::parse(&[input], 64) {
        let text = list.to_string();
        let again = List::parse(&[text.as_bytes()], 64).expect("what was written");
        assert_eq!(again.to_string(), text);
        accepted = true;
    }
    if let Ok(dictionary) = Dictionary::parse(&[input], 64) {
        let text = dictionary.to_string();
        let again = Dictionary::parse(&[text.as_bytes()], 64).expect("what was written");
        assert_eq!(again.to_string(), text);
        accepted = true;
    }
    accepted
}

/// The member of `Signature-Input` with label `sig1`, without its label. The signature is made by
/// the test key over the base it leads to, so everything else is what decides.
pub(crate) fn signature_input(input: &[u8]) -> bool {
    let origin = origin();
    let member = [b"sig1=".as_slice(), input].concat();
    let body = content_digest(DigestAlgorithm::Sha256, b"body");
    let mut fields: Lines<'_> = vec![
        ("authorization", b"HTTPSig a.b.c"),
        ("date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
        ("x-twice", b"1"),
        ("x-twice", b"2"),
        ("content-digest", body.as_bytes()),
        ("signature-input", &member),
    ];
    let rules = profile::presentation(ProofWindow::default(), SignatureAlgorithms::CURVES);
    let mut unsigned = fields.clone();
    unsigned.push(("signature", b"sig1=:AAAA:"));
    let Some(read) = request(&origin, &unsigned).read(&rules) else {
        return false;
    };
    let signature = KEY.sign(read.signature_base().as_bytes());
    assert!(read.covers("authorization") && read.covers("content-digest"));
    assert!(read.taken_until().is_some_and(|until| until > NOW));
    assert!(read.nonce().is_some_and(|nonce| !nonce.is_empty()));
    assert!(read.verify(&PUBLIC_KEY).is_err(), "nobody signed this");
    let text = keybound_proto::structured::BareItem::Bytes(signature.as_ref().to_vec());
    let text = format!("sig1={text}");
    fields.push(("signature", text.as_bytes()));
    let read = request(&origin, &fields).read(&rules).expect("as before");
    read.verify(&PUBLIC_KEY).is_ok()
}

/// First line: `Content-Digest`; the rest: the content.
pub(crate) fn digest(input: &[u8]) -> bool {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (field, content) = end.map_or((input, &[][..]), |end| (&input[..end], &input[end + 1..]));
    let fields: &[(&str, &[u8])] = &[("content-digest", field)];
    let Ok(Some(expected)) = ExpectedDigest::read(&fields) else {
        return false;
    };
    let whole: Option<ContentIntact> = expected.check(content).ok();
    let mut pieces = expected.begin();
    for piece in content.chunks(3) {
        pieces.update(piece);
    }
    assert_eq!(pieces.finish().is_ok(), whole.is_some());
    whole.is_some()
}

/// The value of `Signature-Key`.
pub(crate) fn signature_key_field(input: &[u8]) -> bool {
    let origin = origin();
    let fields: Lines<'_> = vec![
        (
            "signature-input",
            b"sig1=(\"signature-key\");created=1800000000",
        ),
        ("signature", b"sig1=:AAAA:"),
        ("signature-key", input),
    ];
    let rules = SignatureRules {
        select: Select::Only,
        cover: &[],
        inline_key: InlineKeySource::SignatureKey,
        ..SignatureRules::default()
    };
    let Some(read) = request(&origin, &fields).read(&rules) else {
        return false;
    };
    let key = read.inline_key().expect("the field is there");
    let written = signature_key("sig1", key);
    let fields: Lines<'_> = vec![fields[0], fields[1], ("signature-key", written.as_bytes())];
    let again = request(&origin, &fields)
        .read(&rules)
        .expect("what was written");
    assert_eq!(again.inline_key(), Some(key));
    true
}

/// The content of an agent's directory, which the test key signs.
pub(crate) fn directory(input: &[u8]) -> bool {
    let agent = Origin::parse("https://agent.example").expect("a valid origin");
    let digest = content_digest(DigestAlgorithm::Sha256, input);
    let unsigned: &[(&str, &[u8])] = &[("content-digest", digest.as_bytes())];
    let response = SignedResponse {
        status: 200,
        fields: &unsigned,
        trailers: None,
        request: Some(SignedRequest {
            method: "GET",
            origin: &agent,
            request_target: DIRECTORY_PATH,
            fields: &(),
            trailers: None,
        }),
    };
    let covered = [
        Component::of_request("@authority").expect("a component"),
        Component::new("content-digest").expect("a component"),
    ];
    let keyid = PUBLIC_KEY.thumbprint().to_string();
    let parameters = SignatureParameters {
        created: Some(NOW),
        expires: Some(NOW.plus(60)),
        keyid: Some(&keyid),
        tag: Some(DIRECTORY_TAG),
        ..SignatureParameters::default()
    };
    let base = SignatureInput::new(response, &covered, parameters).expect("all there");
    let signature = KEY.sign(base.bytes());
    let signed = base.attach("binding", signature.as_ref());
    let fields: &[(&str, &[u8])] = &[
        ("content-digest", digest.as_bytes()),
        ("signature-input", signed.signature_input.as_bytes()),
        ("signature", signed.signature.as_bytes()),
    ];
    let read = AgentDirectory::read(&agent, (200, &fields), input, NOW);
    match read {
        Ok(directory) => {
            assert!(
                directory.key(PUBLIC_KEY.thumbprint()).is_some(),
                "who else signed?"
            );
            true
        }
        Err(_) => false,
    }
}

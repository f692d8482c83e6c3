//! Vectors about client certificates (RFC 8705, RFC 5280): what is read, and when it is in force.

mod clients;

use keybound_proto::base64url;
use keybound_proto::certificate::CertificateThumbprint;
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, KeyPair, PKCS_ED25519,
    SanType, SerialNumber,
};
use serde_json::{Value, json};

use crate::make::{NOW, Who};

pub(crate) fn file() -> Value {
    let clients = [clients::names(), clients::paths(), clients::self_signed()].concat();
    let vectors = [form(), times(), names(), clients].concat();
    json!({
        "about": "Client certificates as a TLS handshake delivers them, in base64url of DER. `expect` is what a server says that looks at \
                  form and validity, then, where there are `anchors`, at the path to one of them and, with `crls`, at revocation, and at \
                  the client's `registered` metadata. `subject` (RFC 4514) and `names` are what it reads.",
        "vectors": vectors,
    })
}

/// The certificate's key is the agent's key of `keys.json`.
fn pair() -> KeyPair {
    pair_of(Who::Agent)
}

fn pair_of(who: Who) -> KeyPair {
    // PKCS#8 around the seed (RFC 8410 section 7).
    let head = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let pkcs8 = [&head[..], &[who as u8; 32]].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), &PKCS_ED25519)
        .expect("a seed of 32 bytes")
}

pub(crate) fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from(7_u64));
    params.not_before = rcgen::date_time_ymd(2027, 1, 14);
    params.not_after = rcgen::date_time_ymd(2027, 1, 16);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

pub(crate) fn der(params: &CertificateParams) -> Vec<u8> {
    let certificate = params.self_signed(&pair()).expect("a certificate");
    certificate.der().to_vec()
}

/// A good certificate of this name, and its thumbprint.
pub(crate) fn certificate_of(common_name: &str) -> (Vec<u8>, String) {
    let der = der(&named(common_name));
    let thumbprint = CertificateThumbprint::of(&der).to_string();
    (der, thumbprint)
}

/// A certificate that is past its validity.
pub(crate) fn in_the_past() -> Vec<u8> {
    let mut params = named("batch");
    params.not_before = rcgen::date_time_ymd(2026, 1, 14);
    params.not_after = rcgen::date_time_ymd(2026, 1, 16);
    der(&params)
}

fn vector(id: &str, comment: &str, expect: &str, certificate: &[u8]) -> Value {
    json!({"id": id, "comment": comment, "expect": expect, "now": NOW,
           "certificate": base64url::encode(certificate)})
}

fn with(mut vector: Value, member: &str, value: Value) -> Value {
    vector[member] = value;
    vector
}

fn form() -> Vec<Value> {
    let good = der(&named("batch"));
    let cut = good
        .split_last()
        .map(|(_, rest)| rest.to_vec())
        .unwrap_or_default();
    let followed = [good.as_slice(), &[0]].concat();
    // The outer length in three bytes where two do.
    let long_form = [&[0x30, 0x83, 0x00], good.get(2..).unwrap_or_default()].concat();
    let vector =
        |id: &str, comment: &str, der: &[u8]| vector(id, comment, "certificate.invalid", der);
    let chain = |count: usize| json!(vec![base64url::encode(&good); count]);
    vec![
        vector("certificate-empty", "no bytes", &[]),
        vector(
            "certificate-garbage",
            "not DER",
            b"-----BEGIN CERTIFICATE-----",
        ),
        vector("certificate-cut", "the last byte is missing", &cut),
        vector("certificate-followed", "a byte follows", &followed),
        vector(
            "certificate-long-length",
            "BER: a length not in its shortest form",
            &long_form,
        ),
        vector("certificate-large", "17 KiB", &[0x30; 17 * 1024]),
        with(
            vector(
                "certificate-chain-long",
                "nine more certificates (SC-175)",
                &good,
            ),
            "chain",
            chain(9),
        ),
    ]
}

fn times() -> Vec<Value> {
    let good = der(&named("batch"));
    let at = |id: &str, comment: &str, expect: &str, now: u64| {
        with(vector(id, comment, expect, &good), "now", now.into())
    };
    vec![
        at(
            "certificate-early",
            "one second before its validity",
            "certificate.not_yet_valid",
            NOT_BEFORE_OF_VECTORS - 1,
        ),
        at(
            "certificate-late",
            "one second after its validity",
            "certificate.expired",
            NOT_AFTER_OF_VECTORS + 1,
        ),
        at(
            "certificate-first-second",
            "its first second",
            "ok",
            NOT_BEFORE_OF_VECTORS,
        ),
        at(
            "certificate-last-second",
            "its last second",
            "ok",
            NOT_AFTER_OF_VECTORS,
        ),
    ]
}

/// 2027-01-14 and 2027-01-16, midnight UTC, around the moment of the vectors.
const NOT_BEFORE_OF_VECTORS: u64 = 1_799_884_800;
const NOT_AFTER_OF_VECTORS: u64 = 1_800_057_600;

fn names() -> Vec<Value> {
    [refused_names(), read_names()].concat()
}

fn ia5(text: &str) -> Ia5String {
    Ia5String::try_from(text).expect("ASCII")
}

fn san(names: Vec<SanType>) -> Vec<u8> {
    let mut params = named("batch");
    params.subject_alt_names = names;
    der(&params)
}

/// With these contents as `subjectAltName` extensions.
fn extended(contents: Vec<Vec<u8>>) -> Vec<u8> {
    let mut params = named("batch");
    let extension = |content| CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
    params.custom_extensions = contents.into_iter().map(extension).collect();
    der(&params)
}

fn refused_names() -> Vec<Value> {
    let invalid =
        |id: &str, comment: &str, der: &[u8]| vector(id, comment, "certificate.invalid", der);
    let one = |name: SanType| san(vec![name]);
    let twice = extended(vec![
        vec![0x30, 3, 0x82, 1, b'a'],
        vec![0x30, 3, 0x82, 1, b'b'],
    ]);
    let trailing = extended(vec![vec![0x30, 3, 0x82, 1, b'a', 0]]);
    let many = san(vec![SanType::DnsName(ia5("a.example")); 129]);
    let nul = one(SanType::DnsName(ia5("a.example\0.b.example")));
    let space = one(SanType::URI(ia5("spiffe://a/b c")));
    let empty = one(SanType::Rfc822Name(ia5("")));
    vec![
        invalid("certificate-nul", "NUL in a dNSName (SC-165)", &nul),
        invalid("certificate-space", "a space in a URI", &space),
        invalid("certificate-empty-name", "an empty rfc822Name", &empty),
        invalid(
            "certificate-names-twice",
            "two subjectAltName extensions",
            &twice,
        ),
        invalid(
            "certificate-names-followed",
            "a byte behind subjectAltName",
            &trailing,
        ),
        invalid("certificate-many-names", "129 names", &many),
    ]
}

fn read_names() -> Vec<Value> {
    let mut hidden = named("b,CN=a");
    hidden.distinguished_name.push(
        DnType::OrganizationName,
        DnValue::Utf8String("Example, Inc.".to_owned()),
    );
    let hidden = vector(
        "certificate-hidden-name",
        "a CN whose text looks like two (SC-165)",
        "ok",
        &der(&hidden),
    );
    let all = san(vec![
        SanType::DnsName(ia5("batch.example.com")),
        SanType::URI(ia5("spiffe://example.com/batch")),
        SanType::Rfc822Name(ia5("batch@example.com")),
        SanType::IpAddress([192, 0, 2, 1].into()),
    ]);
    let all = vector("certificate-names", "a name of each type", "ok", &all);
    let names = json!({
        "dns": ["batch.example.com"], "uri": ["spiffe://example.com/batch"],
        "email": ["batch@example.com"], "ip": ["192.0.2.1"],
    });
    vec![
        with(hidden, "subject", json!("O=Example\\, Inc.,CN=b\\,CN\\=a")),
        with(all, "names", names),
    ]
}

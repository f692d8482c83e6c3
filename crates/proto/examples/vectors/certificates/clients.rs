//! Vectors about client authentication by certificate (RFC 8705 section 2): a path to an anchor
//! and one name, or a registered certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keybound_proto::base64url;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, RevokedCertParams, SanType, SerialNumber,
};
use serde_json::{Value, json};

use super::{der, ia5, named, pair, pair_of, vector, with};
use crate::make::{Who, jwk};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certification authority named `authority`, whoever's key it has.
fn authority(who: Who, change: impl FnOnce(&mut CertificateParams)) -> Authority {
    let mut params = named("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    change(&mut params);
    CertifiedIssuer::self_signed(params, pair_of(who)).expect("an authority")
}

/// The client's certificate, with a name of each type.
fn client() -> CertificateParams {
    let mut params = named("batch");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![
        SanType::DnsName(ia5("batch.example.com")),
        SanType::URI(ia5("spiffe://example.com/batch")),
        SanType::Rfc822Name(ia5("Batch@example.com")),
        SanType::IpAddress([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].into()),
    ];
    params
}

fn signed(params: &CertificateParams, by: &Authority) -> Vec<u8> {
    let certificate = params.signed_by(&pair(), by).expect("a certificate");
    certificate.der().to_vec()
}

fn list(by: &Authority, revoked: &[u64], next_year: i32) -> Value {
    let revoked = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: rcgen::date_time_ymd(2027, 1, 14),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(next_year, 1, 15),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(by).expect("a revocation list");
    json!([base64url::encode(list.der())])
}

fn anchors(authority: &Authority) -> Value {
    json!([base64url::encode(authority.der())])
}

/// By name, against the one authority.
fn named_client(id: &str, comment: &str, expect: &str, (member, value): (&str, &str)) -> Value {
    let authority = authority(Who::Issuer, |_| {});
    let vector = vector(id, comment, expect, &signed(&client(), &authority));
    let vector = with(vector, "anchors", anchors(&authority));
    with(vector, "registered", json!({ member: value }))
}

pub(super) fn names() -> Vec<Value> {
    let dn = |value| ("tls_client_auth_subject_dn", value);
    let dns = |value| ("tls_client_auth_san_dns", value);
    let uri = |value| ("tls_client_auth_san_uri", value);
    let ip = |value| ("tls_client_auth_san_ip", value);
    let email = |value| ("tls_client_auth_san_email", value);
    let other = |id, comment, name| named_client(id, comment, "certificate.subject", name);
    let same = |id, comment, name| named_client(id, comment, "ok", name);
    vec![
        other("client-dn-other", "another CN", dn("CN=batch2")),
        other(
            "client-dn-more",
            "a relative name the certificate lacks",
            dn("CN=batch,O=Example"),
        ),
        other(
            "client-dn-type",
            "the same value as another type",
            dn("OU=batch"),
        ),
        other("client-dns-other", "another host", dns("example.com")),
        other(
            "client-dns-sub",
            "a host below it",
            dns("a.batch.example.com"),
        ),
        other(
            "client-uri-case",
            "URIs are compared exactly",
            uri("spiffe://example.com/Batch"),
        ),
        other(
            "client-uri-prefix",
            "a prefix of it",
            uri("spiffe://example.com/"),
        ),
        other("client-ip-other", "another address", ip("2001:db8::2")),
        other("client-ip-four", "an IPv4 address", ip("192.0.2.1")),
        other(
            "client-email-local",
            "a mailbox of another case",
            email("batch@example.com"),
        ),
        other(
            "client-email-host",
            "another host",
            email("Batch@example.org"),
        ),
        other("client-dns-in-cn", "a CN is no dNSName", dns("batch")),
        same(
            "client-dn",
            "names in ASCII without regard to case",
            dn("cn=Batch"),
        ),
        same(
            "client-dns",
            "hosts without regard to case",
            dns("BATCH.example.com"),
        ),
        same("client-uri", "the URI", uri("spiffe://example.com/batch")),
        same(
            "client-ip",
            "another spelling of the address",
            ip("2001:0db8:0:0::1"),
        ),
        same(
            "client-email",
            "its host without regard to case",
            email("Batch@EXAMPLE.com"),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of vectors")]
pub(super) fn paths() -> Vec<Value> {
    let trusted = authority(Who::Issuer, |_| {});
    let registered = json!({"tls_client_auth_subject_dn": "CN=batch"});
    let client_of = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = client();
        change(&mut params);
        signed(&params, &trusted)
    };
    let judged = |id: &str, comment: &str, expect: &str, der: &[u8]| {
        let vector = with(
            vector(id, comment, expect, der),
            "anchors",
            anchors(&trusted),
        );
        with(vector, "registered", registered.clone())
    };
    let good = client_of(&|_| {});
    let impostor = authority(Who::Stranger, |_| {});
    let constrained = authority(Who::Issuer, |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let expired = authority(Who::Issuer, |params| {
        params.not_after = rcgen::date_time_ymd(2027, 1, 15);
    });
    let purpose = |id, comment, der: &[u8]| judged(id, comment, "certificate.purpose", der);
    let untrusted = |id, comment, der: &[u8]| judged(id, comment, "certificate.untrusted", der);
    let listed =
        |id, comment, expect, lists| with(judged(id, comment, expect, &good), "crls", lists);
    vec![
        untrusted(
            "path-impostor",
            "a second authority with the same name",
            &signed(&client(), &impostor),
        ),
        untrusted("path-self-signed", "vouched for by itself", &der(&client())),
        untrusted(
            "path-authority-absent",
            "the victim's authority is merely sent along (SC-164)",
            &der(&named("batch")),
        ),
        with(
            untrusted(
                "path-constrained",
                "a name outside of the authority's constraints (SC-173)",
                &signed(&client(), &constrained),
            ),
            "anchors",
            anchors(&constrained),
        ),
        with(
            untrusted(
                "path-anchor-expired",
                "the authority itself has expired",
                &signed(&client(), &expired),
            ),
            "anchors",
            anchors(&expired),
        ),
        purpose(
            "path-purpose-server",
            "for servers only (SC-174)",
            &client_of(&|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
            }),
        ),
        purpose(
            "path-purpose-authority",
            "an authority as a client (SC-174)",
            &client_of(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        purpose(
            "path-purpose-usage",
            "not for signatures",
            &client_of(&|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
        ),
        judged(
            "path-early",
            "not yet valid (SC-174)",
            "certificate.not_yet_valid",
            &client_of(&|params| params.not_before = rcgen::date_time_ymd(2027, 1, 16)),
        ),
        judged(
            "path-late",
            "expired",
            "certificate.expired",
            &client_of(&|params| params.not_after = rcgen::date_time_ymd(2027, 1, 15)),
        ),
        listed(
            "path-revoked",
            "its serial number is listed (SC-172)",
            "certificate.revoked",
            list(&trusted, &[7], 2028),
        ),
        listed(
            "path-list-expired",
            "the list has expired (SC-172)",
            "certificate.status_unknown",
            list(&trusted, &[], 2027),
        ),
        listed(
            "path-list-foreign",
            "the list is another authority's (SC-172)",
            "certificate.status_unknown",
            list(
                &authority(Who::Stranger, |params| {
                    params
                        .distinguished_name
                        .push(rcgen::DnType::OrganizationName, "other");
                }),
                &[],
                2028,
            ),
        ),
        listed(
            "path-list-good",
            "a list in force that does not name it",
            "ok",
            list(&trusted, &[8], 2028),
        ),
        judged(
            "path-purposes-absent",
            "no extKeyUsage at all",
            "ok",
            &client_of(&|params| params.extended_key_usages = Vec::new()),
        ),
    ]
}

pub(super) fn self_signed() -> Vec<Value> {
    let mine = der(&named("batch"));
    let renewed = der(&named("batch renewed"));
    let with_x5c = |der: &[u8]| {
        let mut jwk = jwk(Who::Agent);
        jwk["x5c"] = json!([STANDARD.encode(der)]);
        json!({"jwks": {"keys": [jwk]}})
    };
    let of_key = |who| json!({"jwks": {"keys": [jwk(who)]}});
    let registered = |id: &str, comment: &str, expect: &str, registered: Value| {
        with(vector(id, comment, expect, &mine), "registered", registered)
    };
    let unregistered = "certificate.unregistered";
    vec![
        registered(
            "self-signed-other-key",
            "another key is registered",
            unregistered,
            of_key(Who::Thief),
        ),
        registered(
            "self-signed-renewed",
            "another certificate of the key is registered",
            unregistered,
            with_x5c(&renewed),
        ),
        registered(
            "self-signed-x5c",
            "the certificate is registered",
            "ok",
            with_x5c(&mine),
        ),
        registered(
            "self-signed-key",
            "its key is registered",
            "ok",
            of_key(Who::Agent),
        ),
    ]
}

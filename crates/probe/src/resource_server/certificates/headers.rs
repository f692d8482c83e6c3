//! A certificate in a header field that only a proxy may write (MT-04).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::checks;
use super::{open_without, way};
use crate::check::{Case, Decision};
use crate::draft::Draft;
use crate::session::Session;
use crate::transport::ClientIdentity;

/// One header field, and how proxies write the certificate into it.
struct Forgery {
    case: Case,
    write: fn(&mut Draft, &[u8]),
}

const FORGERIES: [Forgery; 5] = [
    Forgery {
        case: Case::without_cause(
            &checks::MT_04,
            "client-cert",
            "no client certificate, and the owner's in `Client-Cert` (RFC 9440)",
        ),
        write: |draft, der| draft.header("client-cert", &format!(":{}:", STANDARD.encode(der))),
    },
    Forgery {
        case: Case::without_cause(
            &checks::MT_04,
            "x-client-cert",
            "no client certificate, and the owner's in `X-Client-Cert`",
        ),
        write: |draft, der| draft.header("x-client-cert", &escaped_pem(der)),
    },
    Forgery {
        case: Case::without_cause(
            &checks::MT_04,
            "x-forwarded-client-cert",
            "no client certificate, and the owner's in `X-Forwarded-Client-Cert`",
        ),
        write: |draft, der| {
            let hash = keybound_proto::token::TokenHash::of(der).to_hex();
            let value = format!("Hash={hash};Cert=\"{}\"", escaped_pem(der));
            draft.header("x-forwarded-client-cert", &value);
        },
    },
    Forgery {
        case: Case::without_cause(
            &checks::MT_04,
            "x-ssl-client-cert",
            "no client certificate, and the owner's in `X-SSL-Client-Cert`",
        ),
        write: |draft, der| {
            draft.header("x-ssl-client-cert", &escaped_pem(der));
            draft.header("x-ssl-client-verify", "SUCCESS");
        },
    },
    Forgery {
        case: Case::without_cause(
            &checks::MT_04,
            "ssl-client-cert",
            "no client certificate, and the owner's in `ssl-client-cert`",
        ),
        write: |draft, der| {
            draft.header("ssl-client-cert", &escaped_pem(der));
            draft.header("ssl-client-verify", "SUCCESS");
        },
    },
];

static CASES: [Case; 5] = {
    let [a, b, c, d, e] = FORGERIES;
    [a.case, b.case, c.case, d.case, e.case]
};

pub(super) fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter()
}

pub(super) async fn ask(session: &mut Session<'_>, owner: &ClientIdentity) {
    let der = owner.chain.first().map(|der| der.as_ref().to_vec());
    for forgery in &FORGERIES {
        if open_without(session) {
            let reason = "MT-01 shows already that no certificate is needed";
            session.conclude(&forgery.case, Decision::not_applicable(reason));
            continue;
        }
        match (way(session, None), &der) {
            (Ok(mut way), Some(der)) => {
                let forge = |draft: &mut Draft, _: &_| (forgery.write)(draft, der);
                session
                    .must_refuse_over(&forgery.case, &mut way, forge)
                    .await;
            }
            (Err(reason), _) => session.conclude(&forgery.case, Decision::inconclusive(reason)),
            (_, None) => {}
        }
    }
}

/// PEM in percent-encoding, as proxies write it on one line.
fn escaped_pem(der: &[u8]) -> String {
    let mut escaped = String::from("-----BEGIN%20CERTIFICATE-----%0A");
    let text = STANDARD.encode(der);
    for line in text.as_bytes().chunks(64) {
        for byte in line {
            match byte {
                b'+' => escaped.push_str("%2B"),
                b'/' => escaped.push_str("%2F"),
                b'=' => escaped.push_str("%3D"),
                other => escaped.push(char::from(*other)),
            }
        }
        escaped.push_str("%0A");
    }
    escaped.push_str("-----END%20CERTIFICATE-----%0A");
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_on_one_line_has_lines_of_64_characters_and_no_reserved_one() {
        let text = escaped_pem(&[0xfb; 60]);
        let lines: Vec<&str> = text.split("%0A").collect();
        assert_eq!(lines.first(), Some(&"-----BEGIN%20CERTIFICATE-----"));
        assert_eq!(lines[1].replace("%2B", "+").replace("%2F", "/").len(), 64);
        assert!(!text.contains(['+', '/', '=', ' ', '\n']));
    }
}

//! The one PEM block a key file holds: `PRIVATE KEY`, in the strict form of
//! RFC 7468 section 3 except that lines may end in CRLF and blank lines may
//! surround the block. Explanatory text, headers and further blocks are
//! refused, because a file with several keys does not say which one is meant.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::software::ParseKeyError;

const LABEL: &str = "PRIVATE KEY";
const LINE: usize = 64;

/// The bytes of the one `PRIVATE KEY` block in `text`.
pub(crate) fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, ParseKeyError> {
    let mut lines = text
        .trim_matches(|c: char| c.is_ascii_whitespace())
        .lines()
        .map(str::trim_end);
    let label = lines
        .next()
        .and_then(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .ok_or(ParseKeyError::NotPem)?;
    if label != LABEL {
        return Err(ParseKeyError::of_label(label));
    }
    let mut body = Zeroizing::new(String::with_capacity(text.len()));
    let mut closed = false;
    for line in lines {
        if closed {
            return Err(ParseKeyError::TrailingText);
        }
        match line.strip_prefix("-----") {
            Some("END PRIVATE KEY-----") => closed = true,
            Some(_) => return Err(ParseKeyError::NotPem),
            None if line.len() > LINE => return Err(ParseKeyError::NotPem),
            None => body.push_str(line),
        }
    }
    if !closed {
        return Err(ParseKeyError::NotPem);
    }
    STANDARD
        .decode(body.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| ParseKeyError::NotPem)
}

/// The block that holds `der`, with lines of 64 characters.
pub(crate) fn encode(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    // Reserved at once, so that growing leaves no copies behind.
    let mut out = Zeroizing::new(String::with_capacity(body.len() * 2 + 64));
    out.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest: &str = &body;
    while let Some((line, after)) = rest.split_at_checked(LINE) {
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    out.push_str("-----END PRIVATE KEY-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        decode(text).expect_err(text).to_string()
    }

    #[test]
    fn other_blocks_say_what_they_are_and_what_to_do() {
        for (label, wanted) in [
            ("EC PRIVATE KEY", "openssl pkcs8 -topk8 -nocrypt"),
            ("RSA PRIVATE KEY", "generate one"),
            ("ENCRYPTED PRIVATE KEY", "decrypt it"),
            ("PUBLIC KEY", "no private key"),
            ("CERTIFICATE", "no private key"),
            ("OPENSSH PRIVATE KEY", "OpenSSH"),
            ("X", "`PRIVATE KEY`"),
        ] {
            let text = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
            let message = refused(&text);
            assert!(message.contains(wanted), "{label}: {message}");
        }
    }

    #[test]
    fn only_one_clean_block_is_accepted() {
        let good = encode(&[7; 100]);
        for bad in [
            String::new(),
            "AAAA".to_owned(),
            format!("note\n{}", *good),
            format!("{}note\n", *good),
            format!("{}{}", *good, *good),
            good.replace("-----END PRIVATE KEY-----\n", ""),
            good.replace("END PRIVATE", "END EC PRIVATE"),
            good.replace("KEY-----\nBw", "KEY-----\nA: b\n\nBw"),
            good.replace("Bw", "B*"),
            good.replace("Bwc", "Bw=c"),
            good.replace('\n', ""),
        ] {
            assert!(decode(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn encoding_and_decoding_agree() {
        for length in [0, 1, 47, 48, 49, 138] {
            let bytes = vec![0xa5; length];
            let text = encode(&bytes);
            assert!(text.lines().all(|line| line.len() <= LINE));
            assert_eq!(*decode(&text).expect("own encoding"), bytes);
            let crlf = format!("\r\n{}\r\n", text.replace('\n', "\r\n"));
            assert_eq!(*decode(&crlf).expect("CRLF"), bytes);
        }
    }
}

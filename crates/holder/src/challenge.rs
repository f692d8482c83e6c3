//! Challenges (RFC 9110 section 11.6.1): finds the parameters of one scheme
//! in `WWW-Authenticate` fields that may hold several. Reading is tolerant,
//! since servers differ; a challenge is advice and grants nothing.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// The value of `name` in the first challenge of `scheme` that has it.
pub(crate) fn parameter(headers: &HeaderMap, scheme: &str, name: &str) -> Option<String> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| parameter_in(value, scheme, name))
}

fn parameter_in(value: &str, scheme: &str, name: &str) -> Option<String> {
    let mut rest = value;
    let mut in_scheme = false;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest)?;
        let Some(argument) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            // A word without `=` begins the next challenge.
            in_scheme = word.eq_ignore_ascii_case(scheme);
            rest = after;
            continue;
        };
        let (argument, after) = argument_value(argument.trim_start_matches([' ', '\t']))?;
        if in_scheme && word.eq_ignore_ascii_case(name) {
            return Some(argument);
        }
        rest = after;
    }
}

/// A token and what follows it; `None` where none begins.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    let (token, rest) = text.split_at_checked(end)?;
    (!token.is_empty()).then_some((token, rest))
}

/// A quoted string or token. A token68's padding is skipped as empty values.
fn argument_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return match token(text) {
            Some((token, rest)) => Some((token.to_owned(), rest)),
            None => Some((String::new(), text.trim_start_matches('='))),
        };
    };
    let mut value = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return Some((value, rest.as_str())),
            '\\' => value.push(rest.next()?),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parameter_in;

    fn error_of(value: &str) -> Option<String> {
        parameter_in(value, "DPoP", "error")
    }

    #[test]
    fn parameters_of_other_schemes_do_not_count() {
        for value in [
            "",
            "DPoP",
            "Bearer error=\"use_dpop_nonce\"",
            "DPoP algs=\"ES256\", Bearer error=\"use_dpop_nonce\"",
            "Bearer realm=\"DPoP error=use_dpop_nonce\"",
            "DPoP error=\"unterminated",
            "DPoP \"error\"=x",
            "Basic abc==, error=x",
        ] {
            assert_eq!(error_of(value), None, "{value}");
        }
    }

    #[test]
    fn the_parameter_of_the_scheme_is_found() {
        for value in [
            "DPoP error=\"x\"",
            "dpop ERROR=x",
            "DPoP algs=\"ES256 EdDSA\", error=\"x\"",
            "DPoP algs = \"a\\\"b, c=d\" , error = \"x\"",
            "Bearer, DPoP error=\"x\"",
            "Basic abc==, DPoP error=\"x\", Bearer error=\"y\"",
            "Bearer error=\"y\", DPoP error=\"x\"",
        ] {
            assert_eq!(error_of(value).as_deref(), Some("x"), "{value}");
        }
    }
}

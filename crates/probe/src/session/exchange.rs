//! What may be shown of a request and of what came back.
//!
//! Nothing here judges. Texts of servers come out without control characters,
//! credentials as what they are.

use super::{Attempt, Expect};
use crate::answer::{Outcome, Unclear};
use crate::draft::{Draft, abridged, printable};
use crate::report::Exchange;
use crate::transport::Answer;

pub(super) fn unsendable(draft: &Draft, reason: String) -> Attempt {
    Attempt {
        outcome: Outcome::Unclear(Unclear::Local(reason)),
        answer: None,
        shown: String::new(),
        exchange: unsent(draft),
    }
}

/// What a strict target would do: the attempt of a dry run.
pub(super) fn rehearsed(draft: &Draft, shown: &[(String, String)], expect: Expect) -> Attempt {
    let mut exchange = unsent(draft);
    exchange.headers = shown.to_vec();
    Attempt {
        outcome: match expect {
            Expect::Served => Outcome::Served,
            Expect::Refused => Outcome::Refused,
        },
        answer: None,
        shown: String::new(),
        exchange,
    }
}

pub(super) fn unsent(draft: &Draft) -> Exchange {
    Exchange {
        request: format!("{} {}", draft.method, shown_url(draft)),
        headers: Vec::new(),
        status: None,
        answer: Vec::new(),
        body: String::new(),
        milliseconds: 0,
    }
}

/// The URL without what its query says: that may be a token.
fn shown_url(draft: &Draft) -> String {
    let mut url = printable(draft.url.without_query().as_bytes());
    if draft.url.query().is_some() {
        url.push_str("?…");
    }
    url
}

/// The header fields of an answer that say something about tokens.
pub(super) fn telling_headers(answer: &Answer) -> Vec<(String, String)> {
    [
        "www-authenticate",
        "dpop-nonce",
        "location",
        "retry-after",
        "cache-control",
        "content-type",
        "date",
    ]
    .into_iter()
    .flat_map(|name| {
        answer
            .headers
            .get_all(name)
            .iter()
            .map(move |value| (name, value))
    })
    .map(|(name, value)| (name.to_owned(), abridged(&printable(value.as_bytes()))))
    .collect()
}

/// The body of a refusal; that of a success may hold anything and is not kept.
pub(super) fn telling_body(answer: &Answer) -> String {
    if answer.status.is_success() {
        return format!("({} bytes)", answer.body.len());
    }
    abridged(&String::from_utf8_lossy(&answer.body))
}

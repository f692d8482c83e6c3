//! Pages for people: what an agent will be able to do, in plain words, and a button for each
//! answer.
//!
//! Everything that comes from outside is escaped, scripts are none, and the policy that goes with
//! each page allows none. A client's name is what it calls itself, so the page says so.
//!
//! This module does not know who is looking at the page.

use std::fmt::Write as _;

use keybound_proto::uri::HttpUrl;

use super::authorization::AuthorizationRequest;
use super::client::{Client, GrantType};

/// The style of every page.
pub const STYLE: &str = include_str!("page.css");

/// What is served besides the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The document.
    pub html: String,
    /// Where its forms may lead, beside the issuer: an origin.
    pub leads_to: Option<String>,
}

/// One form with one hidden value and its buttons.
struct Form<'a> {
    action: &'a str,
    hidden: &'a [(&'a str, &'a str)],
    /// Value, label and kind of each button of `decision`.
    buttons: &'a [(&'a str, &'a str, &'a str)],
}

/// Asks a person about a request.
#[must_use]
pub fn consent(
    base: &str,
    id: &str,
    identity: &str,
    client: &Client,
    request: &AuthorizationRequest,
    lasts: &str,
) -> Page {
    let mut body = String::new();
    let name = client.name.as_deref().unwrap_or(&client.id);
    let _ = write!(
        body,
        "<h1>{} wants to act for you</h1><p class=\"who\">You are <b>{}</b>.</p>",
        escape(name),
        escape(identity)
    );
    if client.registered_itself {
        let _ = write!(
            body,
            "<p class=\"warning\">This program registered itself as <code>{}</code>. Nobody has \
             checked that it is what it calls itself. Allow it only if you have just started it.</p>",
            escape(&client.id)
        );
    }
    body.push_str("<h2>It will be able to</h2><ul>");
    for scope in request.scope.split(' ').filter(|scope| !scope.is_empty()) {
        let _ = write!(body, "<li><code>{}</code></li>", escape(scope));
    }
    if request.scope.is_empty() {
        body.push_str("<li>nothing beyond knowing who you are</li>");
    }
    body.push_str("</ul><h2>At</h2><ul>");
    for resource in &request.audience {
        let _ = write!(body, "<li><code>{}</code></li>", escape(resource));
    }
    let key = match &request.dpop_jkt {
        Some(jkt) => format!("only with its key <code>{}</code>", escape(jkt)),
        None => "only with the key it proves when it collects the answer".to_owned(),
    };
    let _ = write!(
        body,
        "</ul><h2>How long, and with which key</h2><p>{}, {key}.</p>\
         <p>The answer goes to <code>{}</code>.</p>",
        escape(lasts),
        escape(&request.redirect_uri)
    );
    body.push_str(&form(&Form {
        action: &format!("{base}/consent"),
        hidden: &[("id", id)],
        buttons: &[("allow", "Allow", "primary"), ("deny", "Deny", "plain")],
    }));
    Page {
        html: document("Allow this?", &body),
        leads_to: HttpUrl::parse(&request.redirect_uri)
            .ok()
            .map(|url| url.origin().as_str().to_owned()),
    }
}

/// How long what is allowed lasts, in words.
#[must_use]
pub fn duration(client: &Client, access: u64, refresh: u64) -> String {
    if client.grants.contains(&GrantType::RefreshToken) {
        format!("For {}, without asking you again", in_words(refresh))
    } else {
        format!("For {}", in_words(access))
    }
}

/// Asks whoever opened a link whether this browser is meant: a link that is merely fetched, by a
/// preview for example, logs nobody in.
#[must_use]
pub fn log_in(base: &str, link: &str, identity: &str) -> Page {
    let body = format!(
        "<h1>Log in as {}?</h1><p>Somebody with the operator's key asked for this link a few \
         minutes ago. If that was not you, close this page.</p>{}",
        escape(identity),
        form(&Form {
            action: &format!("{base}/login"),
            hidden: &[("link", link)],
            buttons: &[("log-in", "Log in", "primary")],
        })
    );
    plain("Log in", &body)
}

/// Says that a person is logged in.
#[must_use]
pub fn logged_in(base: &str, identity: &str) -> Page {
    let body = format!(
        "<h1>You are logged in</h1><p>You are <b>{}</b>. If a program sent you here, go back to \
         its page and load it again.</p>{}",
        escape(identity),
        form(&Form {
            action: &format!("{base}/logout"),
            hidden: &[],
            buttons: &[("log-out", "Log out", "plain")],
        })
    );
    plain("Logged in", &body)
}

/// Says what is wrong and what to do.
#[must_use]
pub fn notice(title: &str, text: &str) -> Page {
    let body = format!("<h1>{}</h1><p>{}</p>", escape(title), escape(text));
    plain(title, &body)
}

/// Says how to log in.
#[must_use]
pub fn log_in_first() -> Page {
    plain(
        "Log in first",
        "<h1>Log in first</h1><p>There are no passwords here. Run this where the operator's key is, \
         open the link it prints in this browser, and load this page again:</p>\
         <pre>keybound login</pre>",
    )
}

fn plain(title: &str, body: &str) -> Page {
    Page {
        html: document(title, body),
        leads_to: None,
    }
}

fn form(form: &Form<'_>) -> String {
    let mut text = format!("<form method=\"post\" action=\"{}\">", escape(form.action));
    for (name, value) in form.hidden {
        let (name, value) = (escape(name), escape(value));
        let _ = write!(
            text,
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        );
    }
    for (value, label, kind) in form.buttons {
        let _ = write!(
            text,
            "<button class=\"{kind}\" name=\"decision\" value=\"{}\">{}</button>",
            escape(value),
            escape(label)
        );
    }
    text.push_str("</form>");
    text
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{} - Keybound</title><style>{STYLE}</style></head><body><main>{body}</main>\
         </body></html>",
        escape(title)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A duration in its largest unit, rounded up: it is better to say too much than too little.
fn in_words(seconds: u64) -> String {
    let (unit, length) = match seconds {
        86_400.. => ("day", 86_400),
        3_600.. => ("hour", 3_600),
        60.. => ("minute", 60),
        _ => ("second", 1),
    };
    let count = seconds.div_ceil(length);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::{consent, duration, in_words, notice};
    use crate::flow::authorization::AuthorizationRequest;
    use crate::flow::client::{Client, GrantType, tests::client};

    #[test]
    fn nothing_from_outside_is_markup() {
        let evil = "<script>alert('1')</script>\"&";
        let client = Client {
            name: Some(evil.to_owned()),
            registered_itself: true,
            ..client()
        };
        let request = AuthorizationRequest {
            client_id: evil.to_owned(),
            redirect_uri: format!("https://app.example/{evil}"),
            redirect_uri_sent: true,
            state: None,
            code_challenge: String::new(),
            audience: vec![evil.to_owned()],
            scope: evil.to_owned(),
            details: None,
            dpop_jkt: Some(evil.to_owned()),
        };
        let page = consent("", evil, evil, &client, &request, evil);
        assert!(!page.html.contains("<script"), "{}", page.html);
        assert!(!notice(evil, evil).html.contains("<script"));
        assert!(page.html.contains("registered itself"));
    }

    #[test]
    fn durations_are_said_in_words() {
        assert_eq!(in_words(30 * 86_400), "30 days");
        assert_eq!(in_words(86_401), "2 days");
        assert_eq!(in_words(3_600), "1 hour");
        assert_eq!(in_words(300), "5 minutes");
        assert_eq!(in_words(1), "1 second");
        let once = client();
        assert_eq!(duration(&once, 300, 86_400), "For 5 minutes");
        let again = Client {
            grants: vec![GrantType::RefreshToken],
            ..client()
        };
        let lasts = duration(&again, 300, 86_400);
        assert_eq!(lasts, "For 1 day, without asking you again");
    }
}

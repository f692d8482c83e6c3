use proptest::prelude::*;

use super::*;
use crate::report::tests::{every_verdict, finding, report, with_text};
use crate::verdict::{Severity, Verdict};

/// The tags of a page without their attributes' values, as a browser reads them: a value in quotes
/// ends at its quote, a tag at its `>`.
fn tags(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page.split_once("</style>").map_or(page, |(_, rest)| rest);
    while let Some((_, tail)) = rest.split_once('<') {
        let mut tag = String::new();
        let mut quoted = false;
        let mut length = 0;
        for c in tail.chars() {
            length += c.len_utf8();
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => break,
                c if !quoted => tag.push(c),
                _ => {}
            }
        }
        tags.push(tag);
        rest = &tail[length..];
    }
    tags
}

const HOSTILE: &str =
    "\"><script>alert(1)</script><img src=x onerror='y'>&amp;\u{0}\u{1b}[2J\n\u{202e}";

#[test]
fn no_text_of_a_report_becomes_a_tag() {
    let page = html(&with_text(HOSTILE));
    // A text that is not empty and has no markup gives the same tags, since it takes the same ways.
    assert_eq!(tags(&page), tags(&html(&with_text("plain"))));
    for never in [
        "<script",
        "<img",
        "onerror='",
        "\u{1b}",
        "\u{0}",
        "\u{202e}",
    ] {
        assert!(!page.contains(never), "{never:?}");
    }
    assert!(
        page.contains("&lt;script&gt;"),
        "the text is there, escaped"
    );
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = html(&every_verdict());
    for never in [
        "<script", "<link", "<img", "<iframe", " src=", " style=", "url(", "@import", " onclick",
    ] {
        assert!(!page.contains(never), "{never}");
    }
    let links: Vec<&str> = page.split("href=\"").skip(1).collect();
    assert!(links.iter().all(|link| link.starts_with('#')), "{links:?}");
}

#[test]
fn the_policy_names_the_hash_of_the_style_as_it_stands() {
    let page = html(&every_verdict());
    let style = page
        .split("<style>")
        .nth(1)
        .and_then(|rest| rest.split("</style>").next());
    let style = style.expect("a style");
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()).as_ref());
    let policy = page
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .expect("a policy");
    let policy = policy.split('"').next().expect("its end");
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{hash}'"
        )
    );
    let policy_at = page.find("Content-Security-Policy");
    assert!(
        policy_at < page.find("<style>"),
        "the policy stands before what it governs"
    );
}

#[test]
fn headings_go_down_one_step_at_a_time() {
    let mut level = 0;
    for tag in tags(&html(&every_verdict())) {
        let mut letters = tag.chars();
        let (first, second) = (letters.next(), letters.next());
        if let (Some('h'), Some(digit)) = (first, second.and_then(|c| c.to_digit(10))) {
            assert!(digit <= level + 1, "h{digit} after h{level}");
            level = digit;
        }
    }
    assert!(level > 0, "there are headings");
}

#[test]
fn every_tag_is_closed_by_its_own() {
    const EMPTY: [&str; 3] = ["br", "meta", "rect"];
    let mut open = Vec::new();
    for tag in tags(&html(&every_verdict())) {
        let name = tag.split([' ', '/']).find(|part| !part.is_empty());
        let name = name.unwrap_or_default().to_owned();
        if tag.starts_with('/') {
            // The reader begins after the style, inside of `head` and `html`.
            let closed = open.pop().unwrap_or_else(|| name.clone());
            assert_eq!(closed, name);
        } else if !EMPTY.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn every_finding_says_what_was_sent_and_how_to_fix_it() {
    let open = finding("RS-06.at-once", Severity::High, Verdict::NotEnforced);
    let page = html(&report(vec![open.clone()]));
    for text in [
        &open.id,
        &open.sent,
        &open.reason,
        &open.why,
        &open.section,
        &open.attack,
    ] {
        assert!(page.contains(&**text), "{text}");
    }
    assert!(page.contains("remember the <code>jti</code> of every proof"));
    assert!(page.contains("not enforced, high"), "the verdict is a word");
    assert!(page.contains("until 60 seconds after it was made"));
}

#[test]
fn the_time_line_tells_unlimited_from_unmeasured() {
    let with = |verdict: Verdict| {
        let mut report = report(vec![finding("RS-13.iat-past", Severity::Medium, verdict)]);
        for measure in &mut report.measures {
            measure.value = None;
        }
        html(&report)
    };
    assert!(with(Verdict::NotEnforced).contains("over 1 h old"));
    assert!(with(Verdict::Inconclusive).contains("not measured"));
    assert!(!with(Verdict::Inconclusive).contains("over 1 h"));
}

/// WCAG 2.2, 1.4.3: text against what is behind it, in both schemes.
#[test]
fn colours_stand_out_from_their_ground() {
    let mut themes = STYLE.split("--page: ").skip(1);
    for theme in [themes.next(), themes.next(), themes.next()] {
        let theme = format!("--page: {}", theme.expect("light, dark and print"));
        let colour = |name: &str| {
            let value = theme
                .split(&format!("--{name}: #"))
                .nth(1)
                .expect("a colour");
            u32::from_str_radix(&value[..6], 16).expect("six digits")
        };
        for ground in ["page", "card"] {
            for ink in ["text", "soft", "good", "bad", "care", "calm", "link"] {
                let contrast = contrast(colour(ink), colour(ground));
                assert!(contrast >= 4.5, "{ink} on {ground}: {contrast:.2}");
            }
        }
    }
}

fn contrast(one: u32, other: u32) -> f64 {
    let luminance = |colour: u32| {
        let part = |shift: u32| {
            let value = f64::from(colour >> shift & 0xff) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
    };
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    one.max(other) / one.min(other)
}

proptest! {
    #[test]
    fn any_text_gives_the_tags_of_a_plain_one(text in any::<String>()) {
        let plain = if text.is_empty() { "" } else { "plain" };
        let without_code: String = text.replace('`', "'");
        prop_assert_eq!(tags(&html(&with_text(&without_code))), tags(&html(&with_text(plain))));
    }
}

//! `docs/reference/refusals.md`: one row for each cause of the check registry.
//!
//! The page is made from the registry, so that documentation and code cannot drift. This module
//! does not check vectors; `cargo xtask vectors` does.

use std::fmt::Write as _;
use std::path::PathBuf;

use keybound_proto::cause::Cause;
use keybound_proto::wire::{Role, status_and_error};

use crate::failure::Failure;
use crate::paths;

/// Where the page stands.
pub(crate) fn page() -> PathBuf {
    paths::root().join("docs/reference/refusals.md")
}

/// Writes the page.
pub(crate) fn write() -> Result<(), Failure> {
    paths::write(&page(), &text())
}

/// Fails where the committed page is not the one the registry makes.
pub(crate) fn check() -> Result<(), Failure> {
    if std::fs::read_to_string(page()).unwrap_or_default() == text() {
        return Ok(());
    }
    Err(Failure::Findings(vec![
        "`docs/reference/refusals.md` is not current; run `cargo xtask docs`".to_owned(),
    ]))
}

/// The page's text.
fn text() -> String {
    let mut page = String::from(
        "# Refusals\n\n\
         Every way to be refused has one id. Logs, events, metrics (label `cause`), `keybound proof explain`\n\
         and the test vectors use it. The wire carries the standard error, a fixed text and a request id; the id\n\
         itself only where `error_detail = \"full\"` is set. This page is made from the check registry by\n\
         `cargo xtask docs`.\n\n\
         *At the resource* and *at the issuer* are status and error code of the answer there. *Theft signal* is\n\
         what the refusal suggests when a genuine token was involved.\n\n",
    );
    let mut area = "";
    let mut causes = Cause::ALL.to_vec();
    causes.sort_by_key(|cause| cause.id());
    for cause in causes {
        let this_area = cause.id().split('.').next().unwrap_or_default();
        if this_area != area {
            area = this_area;
            let _ = write!(
                page,
                "\n## {area}\n\n\
                 | id | what is wrong | what to do | at the resource | at the issuer | theft signal | source |\n\
                 |---|---|---|---|---|---|---|\n"
            );
        }
        page.push_str(&row(cause));
    }
    page
}

fn row(cause: Cause) -> String {
    let answer = |role| {
        let (status, error) = status_and_error(cause, role);
        format!("{status} `{error}`")
    };
    let signal = cause
        .theft_signal()
        .map_or(String::new(), |signal| format!("`{}`", signal.as_str()));
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {} |\n",
        cause.id(),
        cause.summary(),
        cause.next_step(),
        answer(Role::ResourceServer),
        answer(Role::AuthorizationServer),
        signal,
        cause.section(),
    )
}

#[cfg(test)]
mod tests {
    use super::{Cause, page, text};

    #[test]
    fn the_committed_page_is_current_and_has_every_cause() {
        let committed = std::fs::read_to_string(page()).unwrap();
        assert_eq!(committed, text(), "run `cargo xtask docs`");
        for cause in Cause::ALL {
            assert!(
                committed.contains(&format!("| `{}` |", cause.id())),
                "{cause}"
            );
        }
    }
}

//! `docs/reference/probe.md`: the check list, made from rehearsals of every
//! kind of target, in which every case says what it is.

use keybound_probe::Finding;

use crate::commands::probe::rehearsed_findings;

/// The page.
pub(super) fn markdown() -> String {
    let mut page = String::from(HEAD);
    let findings = rehearsed_findings();
    let mut checks: Vec<&Finding> = Vec::new();
    for finding in &findings {
        if !checks.iter().any(|check| check.check == finding.check) {
            checks.push(finding);
        }
    }
    checks.sort_by_key(|finding| (list(&finding.check).0, finding.check.clone()));
    let mut heading = "";
    for check in checks {
        let (_, title) = list(&check.check);
        if title != heading {
            heading = title;
            page.push_str(&format!("\n## {heading}\n"));
        }
        let cases: Vec<&Finding> = findings
            .iter()
            .filter(|finding| finding.check == check.check)
            .collect();
        section(&mut page, check, &cases);
    }
    page
}

fn section(page: &mut String, check: &Finding, cases: &[&Finding]) {
    let Finding {
        title,
        why,
        fix,
        section,
        attack,
        ..
    } = check;
    page.push_str(&format!(
        "\n### {} {title}\n\n- **Asked for by** {section}\n- **Attack:** {attack}\n- **Why:** {why}\n- **Fix:** {fix}\n\n\
         | case | sent | severity | refused by Keybound as |\n|---|---|---|---|\n",
        check.check
    ));
    let mut seen: Vec<&str> = Vec::new();
    for case in cases {
        // A case that two kinds of target share stands once.
        if seen.contains(&case.id.as_str()) {
            continue;
        }
        seen.push(&case.id);
        let cause = case
            .cause
            .as_ref()
            .map_or_else(|| "—".to_owned(), |cause| format!("`{cause}`"));
        page.push_str(&format!(
            "| `{}` | {} | {} | {cause} |\n",
            case.id,
            case.sent.replace('|', "\\|"),
            case.severity
        ));
    }
}

/// The place and title of the list a check belongs to.
fn list(check: &str) -> (usize, &'static str) {
    const LISTS: [(&str, &str); 8] = [
        ("RS-", "Resource servers"),
        ("TK-", "Tokens at a resource server"),
        ("MT-", "Tokens bound to client certificates"),
        ("SG-", "HTTP message signatures"),
        ("AS-", "Authorization servers"),
        ("sep-", "MCP servers"),
        ("CL-", "Clients, in recorded traffic"),
        ("HA-", "Recorded traffic"),
    ];
    let found = LISTS
        .iter()
        .enumerate()
        .find(|(_, (prefix, _))| check.starts_with(prefix));
    found.map_or((LISTS.len(), "Others"), |(place, (_, title))| {
        (place, title)
    })
}

const HEAD: &str = "\
# The probe's check list

Made from the program itself by `keybound reference docs/reference`. How to run it stands in
[the guide](../guides/probe.md); the flags stand in [cli.md](cli.md), the JSON form in
[probe.schema.json](probe.schema.json).

Ids are stable. `--only` and `--skip` take ids of checks (`RS-06`) and of cases (`RS-06.at-once`); a baseline names cases.

A case is *enforced* only when the request with the defect is refused while good requests before and after it are served,
*not enforced* when it is served like a good one, *inconclusive* when the answer proves neither (the reason says why), and
*not applicable* when it does not concern the target or needs something that was not given.

| grade | the worst case that is not enforced |
|---|---|
| A | none, or notes: no thief gains by them |
| B | low: needs another weakness to be used |
| C | medium: a thief gains something in special circumstances |
| D | high: a thief who has more than the token can use it |
| F | critical: a stolen token works |
| ? | too little was decided |
";

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_on_the_page() {
        let page = super::markdown();
        let missing: Vec<&str> = keybound_probe::case_ids()
            .filter(|id| !page.contains(&format!("| `{id}` |")))
            .collect();
        assert_eq!(missing, Vec::<&str>::new());
        assert!(!page.contains("## Others"));
    }
}

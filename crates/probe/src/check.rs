//! The check list: what is asked, why it matters, how to fix it.
//!
//! A [`Check`] is a row of the published list with a stable id (`RS-06`); a
//! [`Case`] is one request, or one series, that decides part of it
//! (`RS-06.at-once`). Texts live here and nowhere else. The lists themselves
//! are beside the code that runs them.

use keybound_proto::Cause;

use crate::report::{Exchange, Finding};
use crate::verdict::{Severity, Verdict};

/// One row of the check list.
#[derive(Debug)]
pub(crate) struct Check {
    /// Stable id.
    pub(crate) id: &'static str,
    /// In a few words.
    pub(crate) title: &'static str,
    /// How much it matters.
    pub(crate) severity: Severity,
    /// Document and section.
    pub(crate) section: &'static str,
    /// The attack it stands for.
    pub(crate) attack: &'static str,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// How to fix it.
    pub(crate) fix: &'static str,
}

/// One decision within a check.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) check: &'static Check,
    /// The second part of the id.
    pub(crate) name: &'static str,
    /// What is sent, in words.
    pub(crate) sent: &'static str,
    /// What Keybound's own guard or issuer calls the refusal.
    pub(crate) cause: Option<Cause>,
    /// Statuses that refuse here, beside 400, 401 and 403.
    pub(crate) also: &'static [u16],
    /// Less severe than the check, where this one case is.
    pub(crate) severity: Option<Severity>,
}

impl Case {
    /// A case of a check that stands for this cause.
    pub(crate) const fn new(
        check: &'static Check,
        name: &'static str,
        sent: &'static str,
        cause: Cause,
    ) -> Self {
        Self {
            cause: Some(cause),
            ..Self::without_cause(check, name, sent)
        }
    }

    /// A case for which Keybound has no refusal of its own.
    pub(crate) const fn without_cause(
        check: &'static Check,
        name: &'static str,
        sent: &'static str,
    ) -> Self {
        Self {
            check,
            name,
            sent,
            cause: None,
            also: &[],
            severity: None,
        }
    }

    /// The same, refused by these statuses as well.
    pub(crate) const fn also(mut self, also: &'static [u16]) -> Self {
        self.also = also;
        self
    }

    /// The same with a severity of its own.
    pub(crate) const fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// The stable id.
    pub(crate) fn id(&self) -> String {
        format!("{}.{}", self.check.id, self.name)
    }

    /// The finding of this case.
    pub(crate) fn finding(&self, decision: Decision) -> Finding {
        Finding {
            id: self.id(),
            check: self.check.id.to_owned(),
            title: self.check.title.to_owned(),
            severity: self.severity.unwrap_or(self.check.severity),
            verdict: decision.verdict,
            reason: decision.reason,
            sent: self.sent.to_owned(),
            got: decision.got,
            why: self.check.why.to_owned(),
            fix: self.check.fix.to_owned(),
            section: self.check.section.to_owned(),
            attack: self.check.attack.to_owned(),
            cause: self.cause.map(|cause| cause.id().to_owned()),
            known: false,
            known_reason: None,
            known_until: None,
            evidence: decision.evidence,
        }
    }
}

/// What a case ended with.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) got: String,
    pub(crate) evidence: Vec<Exchange>,
}

impl Decision {
    /// A decision without messages of its own.
    pub(crate) fn of(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
            got: String::new(),
            evidence: Vec::new(),
        }
    }

    /// The case does not concern the target, and why.
    pub(crate) fn not_applicable(reason: impl Into<String>) -> Self {
        Self::of(Verdict::NotApplicable, reason)
    }

    /// Nothing can be said, and why.
    pub(crate) fn inconclusive(reason: impl Into<String>) -> Self {
        Self::of(Verdict::Inconclusive, reason)
    }

    /// The same with what came back.
    pub(crate) fn got(mut self, got: impl Into<String>) -> Self {
        self.got = got.into();
        self
    }

    /// The same with the messages.
    pub(crate) fn evidence(mut self, evidence: Vec<Exchange>) -> Self {
        self.evidence = evidence;
        self
    }
}

/// A check list: one static [`Check`] for each row.
macro_rules! checks {
    ($($name:ident $id:literal $severity:ident $title:literal, $section:literal, $attack:literal, $why:literal, $fix:literal;)+) => {
        $(
            #[doc = $title]
            pub(crate) static $name: $crate::check::Check = $crate::check::Check {
                id: $id,
                title: $title,
                severity: $crate::verdict::Severity::$severity,
                section: $section,
                attack: $attack,
                why: $why,
                fix: $fix,
            };
        )+
    };
}
pub(crate) use checks;

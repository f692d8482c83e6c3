//! A page that grows: markup from the program, text from anywhere.

use crate::output::spans::{Span, spans};
use crate::output::xml::escape;

/// Markup and escaped text.
#[derive(Debug, Default)]
pub(super) struct Markup {
    page: String,
}

impl Markup {
    /// Markup. It comes from the program's own text and from nowhere else.
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.page.push_str(markup);
    }

    /// Text from anywhere, between tags or in a quoted attribute.
    pub(super) fn text(&mut self, text: &str) {
        self.page.push_str(&escape(text));
    }

    /// Text whose names in backticks are shown as code.
    pub(super) fn words(&mut self, text: &str) {
        for span in spans(text) {
            match span {
                Span::Text(text) => self.text(&text),
                Span::Code(name) => self.code(&name),
            }
        }
    }

    /// Text from anywhere, shown as code.
    pub(super) fn code(&mut self, text: &str) {
        self.raw("<code>");
        self.text(text);
        self.raw("</code>");
    }

    /// A number, as it may stand in an attribute of a drawing.
    pub(super) fn number(&mut self, number: f64) {
        self.page.push_str(&format!("{number:.2}"));
    }

    /// The end of a line.
    pub(super) fn line(&mut self) {
        self.page.push('\n');
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.page
    }
}

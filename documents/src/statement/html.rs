//! The statement as a page: prints on A4 with page numbers, reads at 390 pixels, loads nothing.

use std::io::Write;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::words::Words;
use super::{Checked, Statement};
use crate::{ControlTotals, Error};

#[derive(Template)]
#[template(path = "statement.html")]
struct Page<'a> {
    statement: &'a Statement,
    words: &'static Words,
    language: &'static str,
    logo: Option<String>,
    facts: Vec<(&'static str, String)>,
    opening: String,
    closing: String,
    summary: Vec<(&'static str, u64, String)>,
    lines: Vec<Row<'a>>,
    held: Vec<(&'a str, String)>,
}

struct Row<'a> {
    date: String,
    kind: &'static str,
    text: Option<&'a str>,
    reference: &'a str,
    amount: String,
    balance: String,
}

impl Statement {
    /// Writes it as HTML. Every line has the balance after it, which is what a page break would carry forward.
    ///
    /// # Errors
    /// [`Error::DoesNotClose`], [`Error::Currency`], [`Error::Field`], [`Error::Overflow`], [`Error::Io`].
    pub fn write_html(&self, mut out: impl Write) -> Result<ControlTotals, Error> {
        let checked = self.check()?;
        Page::new(&checked).write_into(&mut out)?;
        out.flush()?;
        Ok(checked.totals)
    }

    /// What stands beside the address: names and texts.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let (language, words) = (self.language, self.language.words());
        vec![
            (words.period, format!("{} – {}", language.date(self.from), language.date(self.to))),
            (words.seller_id, self.seller_id.clone()),
            (words.currency, self.opening.currency.to_string()),
            (words.timezone, self.timezone.clone()),
            (words.position, format!("{} ({})", self.position, self.position_at.strftime("%Y-%m-%d %H:%M UTC"))),
        ]
    }
}

impl<'a> Page<'a> {
    fn new(checked: &Checked<'a>) -> Self {
        let statement = checked.statement;
        let (language, currency) = (statement.language, statement.opening.currency);
        let summary = checked
            .summary
            .iter()
            .map(|&(kind, count, sum)| (language.kind(kind), count, language.minor(sum, currency)));
        let lines = statement.lines.iter().zip(&checked.balances).map(|(line, &balance)| Row {
            date: language.date(line.date),
            kind: language.kind(line.kind),
            text: line.text.as_deref(),
            reference: &line.reference,
            amount: language.amount(line.amount),
            balance: language.minor(balance, currency),
        });
        Self {
            statement,
            words: language.words(),
            language: language.tag(),
            logo: statement.logo_png.as_ref().map(|png| STANDARD.encode(png)),
            facts: statement.facts(),
            opening: language.amount(statement.opening),
            closing: language.amount(statement.closing),
            summary: summary.collect(),
            lines: lines.collect(),
            held: statement.held.iter().map(|held| (held.reason.as_str(), language.amount(held.amount))).collect(),
        }
    }
}

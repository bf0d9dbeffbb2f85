//! MT940 of SWIFT, the customer statement message, with the structured field 86 that German banks write.

mod fields;
mod purpose;

use std::io::Read;

use crate::error::{Reason, Refusal, quote};
use crate::output::{Draft, Open, Output};
use crate::statement::{Balance, Detail};
use crate::text::Text;
use fields::{Line61, Stated};

/// Reads messages to the end of the file. Each has the fields 20, 25, 28C, 60, then 61 with its 86 for every entry, 62,
/// and may have 64, 65 and another 86.
pub(crate) fn read<R: Read>(mut text: Text<R>, output: &mut Output<'_>) -> Result<Text<R>, Refusal> {
    let limit = output.limits().piece;
    let mut messages = Messages { output, message: Message::default(), complete: 0 };
    let mut field: Option<Field> = None;
    loop {
        let line = text.line();
        let Some(read) = text.read_line()? else { break };
        let content = within_block(&read);
        if let Some((tag, rest)) = tagged(content) {
            messages.take_all(field.replace(Field { tag: tag.to_owned(), lines: rest.to_owned(), line }))?;
        } else if matches!(content.trim_end(), "" | "-" | "-}") || content.starts_with("-}{") {
            messages.take_all(field.take())?;
        } else if let Some(field) = &mut field {
            if field.lines.len() + content.len() > limit {
                return Err(Reason::TooLong { limit }.at(line));
            }
            field.lines.push('\n');
            field.lines.push_str(content);
        } else if !content.starts_with('{') {
            return Err(Reason::Unexpected(quote(content)).at(line));
        }
    }
    messages.take_all(field.take())?;
    let line = text.line();
    messages.finish(line)?;
    Ok(text)
}

/// A field, its lines joined by line ends.
struct Field {
    tag: String,
    lines: String,
    line: u64,
}

/// What of a line is text of the message: behind the headers of SWIFT's blocks 1 to 3, which stand before block 4.
fn within_block(line: &str) -> &str {
    match line.split_once("{4:") {
        Some((headers, text)) if headers.starts_with('{') || headers.is_empty() => text,
        _ => line,
    }
}

/// `:61:text` as its tag and text.
fn tagged(line: &str) -> Option<(&str, &str)> {
    let (tag, text) = line.strip_prefix(':')?.split_once(':')?;
    let digits = tag.get(..2)?.bytes().all(|byte| byte.is_ascii_digit());
    let option = tag.get(2..)?;
    (digits && (option.is_empty() || matches!(option.as_bytes(), [b'A'..=b'Z']))).then_some((tag, text))
}

/// One message so far.
#[derive(Default)]
struct Message {
    line: u64,
    reference: Option<String>,
    account: Option<String>,
    sequence: Option<u64>,
    page: Option<u64>,
    open: Option<Open>,
    entry: Option<(u64, Line61)>,
    purpose: Option<String>,
}

struct Messages<'a, 'b> {
    output: &'a mut Output<'b>,
    message: Message,
    complete: u32,
}

impl Messages<'_, '_> {
    fn take_all(&mut self, field: Option<Field>) -> Result<(), Refusal> {
        field.map_or(Ok(()), |field| self.take(&field).map_err(|reason| reason.at(field.line)))
    }

    fn take(&mut self, field: &Field) -> Result<(), Reason> {
        let unexpected = || Reason::Unexpected(quote(&format!(":{}:{}", field.tag, field.lines)));
        let is_open = self.message.open.is_some();
        match field.tag.as_str() {
            "20" if self.message.line == 0 => {
                self.message.line = field.line;
                self.message.reference = crate::statement::filled(&field.lines);
                Ok(())
            }
            "20" => Err(Reason::Truncated("the closing balance (field :62F:)")),
            // A message before the first :20:, or what may follow a closing balance.
            "13D" | "21" | "34F" | "90C" | "90D" => Ok(()),
            "64" | "65" | "86" if self.complete > 0 && self.message.line == 0 => Ok(()),
            "25" | "25P" if self.message.line > 0 && self.message.account.is_none() => {
                let account = field.lines.split('\n').next().and_then(crate::statement::filled);
                self.message.account =
                    Some(account.ok_or_else(|| Reason::Missing("the account (field :25:)".to_owned()))?);
                Ok(())
            }
            "28" | "28C" if self.message.line > 0 && self.message.sequence.is_none() => {
                (self.message.sequence, self.message.page) = fields::numbers(&field.lines)?;
                Ok(())
            }
            "60F" | "60M" if self.message.line > 0 && !is_open => self.open(field),
            "61" if is_open => {
                self.end_entry()?;
                let currency = self.message.open.as_ref().map(|open| open.currency);
                let entry = currency.map(|currency| fields::line_61(&field.lines, currency)).transpose()?;
                self.message.entry = entry.map(|entry| (field.line, entry));
                Ok(())
            }
            "86" if self.message.entry.is_some() && self.message.purpose.is_none() => {
                self.message.purpose = Some(field.lines.clone());
                Ok(())
            }
            "62F" | "62M" if is_open => self.end(field),
            _ => Err(unexpected()),
        }
    }

    fn open(&mut self, field: &Field) -> Result<(), Reason> {
        let missing = || Reason::Missing("the account (field :25:)".to_owned());
        let account = self.message.account.clone().ok_or_else(missing)?;
        let stated = fields::balance(&field.tag, &field.lines)?;
        let mut open = self.output.open(account, stated.currency, self.message.line);
        open.opening = Some(balance(&stated, &field.tag));
        open.id.clone_from(&self.message.reference);
        (open.sequence, open.page) = (self.message.sequence, self.message.page);
        self.message.open = Some(open);
        Ok(())
    }

    fn end(&mut self, field: &Field) -> Result<(), Reason> {
        self.end_entry()?;
        let stated = fields::balance(&field.tag, &field.lines)?;
        let message = std::mem::take(&mut self.message);
        let Some(mut open) = message.open else { return Ok(()) };
        open.same_currency(stated.currency)?;
        open.closing = Some(balance(&stated, &field.tag));
        self.complete += 1;
        self.output.close(open, field.line).map_err(|refusal| refusal.reason)
    }

    /// Puts out the entry that is known now, for its field 86 comes behind it.
    fn end_entry(&mut self) -> Result<(), Reason> {
        let purpose = self.message.purpose.take();
        let (Some((line, entry)), Some(open)) = (self.message.entry.take(), &mut self.message.open) else {
            return Ok(());
        };
        let purpose = purpose.map(|text| purpose::parse(&text)).unwrap_or_default();
        let draft = Draft {
            line,
            amount: entry.amount,
            fee: 0,
            reversal: entry.reversal,
            booked_on: entry.booked_on,
            value_on: Some(entry.value_on),
            bank_reference: entry.bank_reference,
            code: Some(purpose.code.map_or(entry.kind.clone(), |code| format!("{}/{code}", entry.kind))),
            info: purpose.booking_text.or(entry.supplement),
            details: vec![Detail {
                amount: Some(entry.amount),
                end_to_end_id: purpose.end_to_end_id.or(entry.customer_reference),
                ..purpose.detail
            }],
        };
        self.output.entry(open, draft).map_err(|refusal| refusal.reason)
    }

    fn finish(self, line: u64) -> Result<(), Refusal> {
        if self.message.line > 0 {
            return Err(Reason::Truncated("the closing balance (field :62F:)").at(line));
        }
        if self.complete == 0 { Err(Reason::Missing("a statement (field :20:)".to_owned()).at(line)) } else { Ok(()) }
    }
}

fn balance(stated: &Stated, tag: &str) -> Balance {
    Balance { amount: stated.amount, date: Some(stated.date), intermediate: tag.ends_with('M') }
}

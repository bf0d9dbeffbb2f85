//! Reads a file and prints what is in it as lines of JSON: `statements FILE`. For comparisons with other readers.

use std::fs::File;
use std::io::{self, Write};

use partita_statements::{Entry, Options, Part, Statement, read};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("which file?")?;
    let mut lines = Vec::new();
    read(File::open(path)?, &Options::default(), &mut |part| {
        lines.push(match part {
            Part::Entry(entry) => of_entry(&entry),
            Part::Statement(statement) => of_statement(&statement),
        });
    })?;
    let mut output = io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(output, "{line}"))?;
    Ok(())
}

fn of_statement(statement: &Statement) -> Value {
    json!({
        "number": statement.number,
        "account": statement.account,
        "currency": statement.currency,
        "id": statement.id,
        "sequence": statement.sequence,
        "opening": statement.opening.map(|balance| balance.amount),
        "closing": statement.closing.map(|balance| balance.amount),
        "entries": statement.entries,
    })
}

fn of_entry(entry: &Entry) -> Value {
    let details = entry.details.iter().map(|detail| {
        json!({
            "amount": detail.amount,
            "end_to_end_id": detail.end_to_end_id,
            "counterparty": detail.counterparty,
            "counterparty_account": detail.counterparty_account,
            "remittance": detail.remittance,
            "return_reason": detail.return_reason,
        })
    });
    json!({
        "statement": entry.statement,
        "amount": entry.amount.minor,
        "currency": entry.amount.currency,
        "reversal": entry.reversal,
        "booked_on": entry.booked_on.to_string(),
        "value_on": entry.value_on.map(|date| date.to_string()),
        "bank_reference": entry.bank_reference,
        "details": details.collect::<Vec<_>>(),
    })
}

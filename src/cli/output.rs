//! What people and programs read: standard output for data, standard error for the rest.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Prints data and a line break. A reader that went away (`| head`) is no error.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints data as JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&serde_json::to_string_pretty(value)?)
}

/// A table for people.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    // The style without borders keeps a blank where the left one would be.
    let trim = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
    let lines: Vec<String> = table.lines().map(trim).collect();
    lines.join("\n")
}

/// Says something that is not data. Nothing can be done about a standard error that is closed.
pub(crate) fn note(text: &str) {
    let _unwritable = writeln!(io::stderr().lock(), "{text}");
}

/// Says why a command failed, and what caused it.
pub(crate) fn failure(error: &anyhow::Error) {
    let mut told = error.to_string();
    note(&format!("error: {told}"));
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // Transparent errors repeat their cause.
        if !told.contains(&text) {
            note(&format!("  because: {text}"));
        }
        told = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_plain_columns() {
        let text = table(&["name", "value"], vec![vec!["a".to_owned(), "1".to_owned()]]);
        assert_eq!(text, "name  value\na     1");
    }
}

//! Rows of separated values (RFC 4180), strictly: a quotation mark that is not closed would swallow the rest of the file.

use std::io::Read;

use crate::error::{Reason, Refusal, quote};
use crate::text::Text;

/// A row and the line it begins at.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) fields: Vec<String>,
}

/// Reads the next row that is not blank; fields may be quoted and then have line ends.
pub(crate) fn next_row<R: Read>(text: &mut Text<R>, delimiter: char, limit: usize) -> Result<Option<Row>, Refusal> {
    let (line, mut record) = loop {
        let line = text.line();
        match text.read_line()? {
            None => return Ok(None),
            Some(record) if record.trim().is_empty() => {}
            Some(record) => break (line, record),
        }
    };
    loop {
        match split(&record, delimiter) {
            Split::Fields(fields) => return Ok(Some(Row { line, fields })),
            Split::Damaged => return Err(Reason::Quotes.at(line)),
            Split::Unclosed => {
                // Split again only where a mark may have closed it: long fields of many lines would cost their square.
                loop {
                    let Some(more) = text.read_line()? else { return Err(Reason::Quotes.at(line)) };
                    record.push('\n');
                    record.push_str(&more);
                    if record.len() > limit {
                        return Err(Reason::TooLong { limit }.at(line));
                    }
                    if more.matches('"').count() % 2 == 1 {
                        break;
                    }
                }
            }
        }
    }
}

enum Split {
    Fields(Vec<String>),
    Unclosed,
    Damaged,
}

fn split(record: &str, delimiter: char) -> Split {
    let (mut fields, mut rest) = (Vec::new(), record);
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            None => {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Split::Damaged;
                }
                (rest[..end].to_owned(), &rest[end..])
            }
            Some(quoted) => match closing_quote(quoted) {
                None => return Split::Unclosed,
                Some(end) => (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..]),
            },
        };
        fields.push(field);
        match after.strip_prefix(delimiter) {
            Some(after) => rest = after,
            None if after.is_empty() => return Split::Fields(fields),
            None => return Split::Damaged,
        }
    }
}

/// Where the quotation ends; doubled marks are text.
fn closing_quote(quoted: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + quoted[from..].find('"')?;
        if !quoted[at + 1..].starts_with('"') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// The columns of a header, found by name whatever its case, blanks and signs.
pub(crate) struct Header {
    names: Vec<String>,
}

impl Header {
    /// # Errors
    /// [`Reason::Repeated`] if two columns have one name.
    pub(crate) fn try_new(fields: &[String]) -> Result<Self, Reason> {
        let names: Vec<String> = fields.iter().map(|name| plain(name)).collect();
        let twice = |at: usize| !names[at].is_empty() && names[..at].contains(&names[at]);
        if (0..names.len()).any(twice) { Err(Reason::Repeated("a column")) } else { Ok(Self { names }) }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let name = plain(name);
        self.names.iter().position(|found| *found == name)
    }

    pub(crate) fn column(&self, name: &str) -> Result<usize, Reason> {
        self.find(name).ok_or_else(|| Reason::Missing(format!("column {:?}", quote(name))))
    }

    /// Refuses a row with other columns than the header has.
    pub(crate) fn fits(&self, row: &Row) -> Result<(), Refusal> {
        let (expected, found) = (self.names.len(), row.fields.len());
        if expected == found { Ok(()) } else { Err(Reason::Columns { expected, found }.at(row.line)) }
    }
}

impl Row {
    /// A field of it without blanks around it.
    pub(crate) fn field(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", |field| field.trim())
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Vec<String>>, Refusal> {
        let mut text = Text::open(text.as_bytes(), crate::Limits::default(), None)?;
        let mut rows = Vec::new();
        while let Some(row) = next_row(&mut text, ';', 1000)? {
            rows.push(row.fields);
        }
        Ok(rows)
    }

    #[test]
    fn quoted_fields_may_have_anything() {
        let read = rows("a;\"b;\"\"c\"\"\";\r\n\n\"two\nlines\";5 pipes;\"\"\n").expect("rows");
        assert_eq!(read, [["a", "b;\"c\"", ""], ["two\nlines", "5 pipes", ""]]);
    }

    #[test]
    fn a_quotation_that_does_not_end_is_refused_at_its_line() {
        for bad in ["x\n5\" pipe;b\n", "x;y\na;\"b\nc;d\n", "x\n\"a\" b;c\n", "x\n\"a\"\"\n"] {
            let refusal = rows(bad).expect_err(bad);
            assert!(matches!(refusal, Refusal { line: 2, reason: Reason::Quotes }), "{refusal}");
        }
        let refusal = rows(&format!("\"{}", "a\n".repeat(600))).expect_err("too long");
        assert!(matches!(refusal.reason, Reason::TooLong { limit: 1000 }), "{refusal}");
    }
}

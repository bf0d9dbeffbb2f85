//! camt.053 of ISO 20022, the bank's statement to its customer: messages .001.02 and .001.08.
//!
//! The document is read tag by tag. [`fields`] says what is read, by its path; everything else is passed over.

mod drafts;
mod fields;

use std::io::Read;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Error, Reader};

use crate::error::{Reason, Refusal, quote};
use crate::output::Output;
use crate::text::Text;

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:";
const MESSAGES: [&str; 2] = ["camt.053.001.02", "camt.053.001.08"];

/// Reads a document to its end.
pub(crate) fn read<R: Read>(text: Text<R>, output: &mut Output<'_>) -> Result<Text<R>, Refusal> {
    let mut reader = Reader::from_reader(text);
    let mut document = Document::new(output);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().renew();
        let line = reader.get_ref().line();
        let event = match reader.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => return Err(refuse(reader.get_mut(), &error)),
        };
        let taken = match &event {
            Event::Start(tag) => document.start(tag, line),
            Event::End(_) => document.end(line),
            Event::Empty(tag) => document.start(tag, line).and_then(|()| document.end(line)),
            Event::Text(text) => document.append(&text.xml10_content()),
            Event::CData(text) => document.append(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                resolve(reference).and_then(|letter| document.append(letter.encode_utf8(&mut [0; 4])))
            }
            Event::DocType(_) => Err(Reason::DocumentType),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => Ok(()),
            Event::Eof => break,
        };
        taken.map_err(|reason| reason.at(line))?;
    }
    let line = reader.get_ref().line();
    document.finish().map_err(|reason| reason.at(line))?;
    Ok(reader.into_inner())
}

fn refuse<R: Read>(text: &mut Text<R>, error: &Error) -> Refusal {
    let line = text.line();
    text.take_failure().unwrap_or_else(|| match error {
        Error::Syntax(_) => Reason::Truncated("the end of a tag").at(line),
        other => Reason::Xml(other.to_string().chars().take(120).collect()).at(line),
    })
}

/// The character of a reference: one of XML's own five, or one by its number.
fn resolve(reference: &BytesRef<'_>) -> Result<char, Reason> {
    let entity = || Reason::Entity(quote(reference));
    if let Some(letter) = reference.resolve_char_ref().map_err(|_| entity())? {
        let forbidden = letter.is_control() && !matches!(letter, '\t' | '\n' | '\r');
        return if forbidden { Err(Reason::ControlCharacter(u32::from(letter))) } else { Ok(letter) };
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(entity()),
    }
}

/// Where the reader stands.
struct Document<'a, 'b> {
    output: &'a mut Output<'b>,
    /// Local names from below the root, each with a stroke before it.
    path: String,
    depth: usize,
    /// The root was there and has ended.
    ended: bool,
    /// Text of the element that began last.
    text: String,
    /// Bytes of the texts since the last entry or statement began.
    held: usize,
    /// Currency of the amount that began last.
    currency: String,
    /// Statements so far.
    statements: u32,
    page: drafts::Page,
    statement: Option<drafts::Statement>,
}

impl<'a, 'b> Document<'a, 'b> {
    fn new(output: &'a mut Output<'b>) -> Self {
        Self {
            output,
            path: String::new(),
            depth: 0,
            ended: false,
            text: String::new(),
            held: 0,
            currency: String::new(),
            statements: 0,
            page: drafts::Page::default(),
            statement: None,
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, line: u64) -> Result<(), Reason> {
        let limit = self.output.limits().depth;
        if self.depth == limit {
            return Err(Reason::TooDeep { limit });
        }
        self.text.clear();
        self.depth += 1;
        if self.depth == 1 {
            return self.root(tag);
        }
        self.path.push('/');
        self.path.push_str(tag.local_name().into_inner());
        self.currency.clear();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| Reason::Xml(error.to_string()))?;
            if attribute.key.0 == "Ccy" {
                self.currency.push_str(&attribute.value);
            }
        }
        self.enter(line)
    }

    fn root(&mut self, tag: &BytesStart<'_>) -> Result<(), Reason> {
        if self.ended {
            return Err(Reason::Xml("text behind the end of the document".to_owned()));
        }
        let prefix = tag.name().prefix();
        let declaration = prefix.map_or("xmlns".to_owned(), |prefix| format!("xmlns:{}", prefix.into_inner()));
        let mut namespace = String::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| Reason::Xml(error.to_string()))?;
            if attribute.key.0 == declaration {
                namespace.push_str(&attribute.value);
            }
        }
        let message = namespace.strip_prefix(NAMESPACE).unwrap_or(&namespace);
        if tag.local_name().into_inner() == "Document" && MESSAGES.contains(&message) {
            return Ok(());
        }
        let found = if message.is_empty() { tag.local_name().into_inner() } else { message };
        Err(Reason::UnsupportedMessage(quote(found)))
    }

    fn append(&mut self, text: &str) -> Result<(), Reason> {
        let limit = self.output.limits().piece;
        if self.depth == 0 && !text.trim().is_empty() {
            return Err(Reason::Xml("text outside of the document".to_owned()));
        }
        if self.text.len() + text.len() > limit {
            return Err(Reason::TooLong { limit });
        }
        self.text.push_str(text);
        Ok(())
    }

    fn end(&mut self, line: u64) -> Result<(), Reason> {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            // A text takes more than its letters.
            self.held += text.len() + 64;
            let limit = self.output.limits().entry;
            if self.held > limit {
                return Err(Reason::TooLong { limit });
            }
            self.value(text.trim())?;
        }
        self.complete(line)?;
        self.depth -= 1;
        self.ended = self.depth == 0;
        self.path.truncate(self.path.rfind('/').unwrap_or(0));
        Ok(())
    }

    fn finish(self) -> Result<(), Reason> {
        if !self.ended {
            return Err(Reason::Truncated("the end of the document"));
        }
        if self.statements == 0 { Err(Reason::Missing("a statement (Stmt)".to_owned())) } else { Ok(()) }
    }
}

//! Elements inside one another, their texts checked.

use std::io::Write;

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use crate::Error;

/// Writes a document, an element a line.
pub(crate) struct Xml<W: Write> {
    writer: quick_xml::Writer<W>,
    /// The row that is written, for errors.
    pub(crate) row: u64,
}

impl<W: Write> Xml<W> {
    pub(crate) fn start(out: W) -> Result<Self, Error> {
        let mut writer = quick_xml::Writer::new_with_indent(out, b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        Ok(Self { writer, row: 0 })
    }

    pub(crate) fn open<'a>(&mut self, name: &'static str, attributes: &[(&'a str, &'a str)]) -> Result<(), Error> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        Ok(self.writer.write_event(Event::Start(start))?)
    }

    pub(crate) fn close(&mut self, name: &'static str) -> Result<(), Error> {
        Ok(self.writer.write_event(Event::End(BytesEnd::new(name)))?)
    }

    /// An element around others.
    pub(crate) fn inside(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.open(name, &[])?;
        write(self)?;
        self.close(name)
    }

    /// An element with a text of 1 to `longest` characters.
    pub(crate) fn text(&mut self, name: &'static str, text: &str, longest: usize) -> Result<(), Error> {
        self.text_with(name, &[], text, longest)
    }

    /// [`Xml::text`], with attributes.
    pub(crate) fn text_with<'a>(
        &mut self,
        name: &'static str,
        attributes: &[(&'a str, &'a str)],
        text: &str,
        longest: usize,
    ) -> Result<(), Error> {
        let length = text.chars().count();
        if length == 0 || length > longest {
            return Err(Error::field(self.row, name, format!("has {length} characters, 1 to {longest} are taken")));
        }
        if let Some(character) = text.chars().find(|&character| !is_xml(character)) {
            return Err(Error::Character { row: self.row, field: name, character });
        }
        self.open(name, attributes)?;
        self.writer.write_event(Event::Text(BytesText::new(text)))?;
        self.close(name)
    }

    /// An element with what we made ourselves: a number, a date, a code.
    pub(crate) fn plain(&mut self, name: &'static str, text: &str) -> Result<(), Error> {
        self.text(name, text, usize::MAX)
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        let mut out = self.writer.into_inner();
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }
}

/// Whether XML 1.0 has the character, and keeps it: of controls only the line break, for others are folded when read.
fn is_xml(character: char) -> bool {
    character == '\n' || !(character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}'))
}

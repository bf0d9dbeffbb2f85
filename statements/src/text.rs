//! A file as text: decoded, hashed, its lines counted, and never more of it in memory than a block and a piece.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use sha2::{Digest, Sha256};

use crate::error::{Reason, Refusal};
use crate::limits::Limits;

const BLOCK: usize = 16 * 1024;

/// The decoded text of a source. As a reader it gives at most one piece between two calls of [`Text::renew`].
pub(crate) struct Text<R> {
    source: R,
    limits: Limits,
    raw: Box<[u8]>,
    /// What of `raw` is not decoded yet.
    undecoded: std::ops::Range<usize>,
    ended: bool,
    finished: bool,
    encoding: &'static Encoding,
    decoder: Decoder,
    decoded: Box<[u8]>,
    /// What of `decoded` is not consumed yet.
    pending: std::ops::Range<usize>,
    /// Bytes that may still be consumed of this piece.
    budget: usize,
    line: u64,
    bytes: u64,
    hash: Sha256,
    /// Why reading failed; `io::Error` cannot carry it through every reader.
    failure: Option<Refusal>,
}

impl<R: Read> Text<R> {
    /// Opens a source. A byte order mark decides the encoding, then the declaration of XML, then what was `named`; without
    /// any it is UTF-8.
    pub(crate) fn open(source: R, limits: Limits, named: Option<&'static Encoding>) -> Result<Self, Refusal> {
        let mut text = Self {
            source,
            limits,
            raw: vec![0; BLOCK].into_boxed_slice(),
            undecoded: 0..0,
            ended: false,
            finished: false,
            encoding: UTF_8,
            decoder: UTF_8.new_decoder(),
            decoded: vec![0; 3 * BLOCK + 16].into_boxed_slice(),
            pending: 0..0,
            budget: limits.piece,
            line: 1,
            bytes: 0,
            hash: Sha256::new(),
            failure: None,
        };
        while text.undecoded.len() < BLOCK && !text.ended {
            text.read_block()?;
        }
        let start = &text.raw[text.undecoded.clone()];
        if start.is_empty() {
            return Err(Reason::Empty.at(1));
        }
        let marked = Encoding::for_bom(start).map(|(encoding, _)| encoding);
        text.encoding = marked.or_else(|| declared_by_xml(start)).or(named).unwrap_or(UTF_8);
        text.decoder = text.encoding.new_decoder_with_bom_removal();
        Ok(text)
    }

    /// Reads behind what is not decoded yet; only [`Text::open`] has some.
    fn read_block(&mut self) -> Result<(), Refusal> {
        let filled = if self.undecoded.is_empty() { 0 } else { self.undecoded.end };
        let read = loop {
            match self.source.read(&mut self.raw[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map_err(|error| Reason::Io(error).at(self.line))?,
            }
        };
        self.ended = read == 0;
        self.hash.update(&self.raw[filled..filled + read]);
        self.bytes += u64::try_from(read).unwrap_or(u64::MAX);
        if self.bytes > self.limits.bytes {
            return Err(Reason::FileTooLarge { limit: self.limits.bytes }.at(self.line));
        }
        self.undecoded = if filled == 0 { 0..read } else { self.undecoded.start..filled + read };
        Ok(())
    }

    fn decode_block(&mut self) -> Result<(), Refusal> {
        while self.pending.is_empty() && !self.finished {
            if self.undecoded.is_empty() && !self.ended {
                self.read_block()?;
            }
            let input = &self.raw[self.undecoded.clone()];
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(input, &mut self.decoded, self.ended);
            self.undecoded.start += read;
            self.pending = 0..written;
            self.refuse_control_characters()?;
            match result {
                DecoderResult::Malformed(..) => {
                    let line = self.line + newlines(&self.decoded[..written]);
                    return Err(Reason::Encoding { encoding: self.encoding.name() }.at(line));
                }
                DecoderResult::InputEmpty => self.finished = self.ended,
                DecoderResult::OutputFull => {}
            }
        }
        Ok(())
    }

    /// Controls of C0 but tabulator and line ends, and those of C1, which are letters of a page of characters gone wrong.
    fn refuse_control_characters(&self) -> Result<(), Refusal> {
        let fresh = &self.decoded[self.pending.clone()];
        let c0 = |byte: &u8| (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || *byte == 0x7f;
        let c1 = |pair: &[u8]| pair[0] == 0xc2 && (0x80..0xa0).contains(&pair[1]);
        let found = fresh.iter().position(c0).map(|at| (at, fresh[at]));
        let found = found.or_else(|| fresh.windows(2).position(c1).map(|at| (at, fresh[at + 1])));
        match found {
            Some((at, byte)) => Err(Reason::ControlCharacter(u32::from(byte)).at(self.line + newlines(&fresh[..at]))),
            None => Ok(()),
        }
    }

    /// The line of what is read next, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Another piece begins.
    pub(crate) fn renew(&mut self) {
        self.budget = self.limits.piece;
    }

    /// The refusal behind an error of reading.
    pub(crate) fn refusal(&mut self, error: io::Error) -> Refusal {
        self.failure.take().unwrap_or_else(|| Reason::Io(error).at(self.line))
    }

    /// Why reading failed, if it did.
    pub(crate) fn take_failure(&mut self) -> Option<Refusal> {
        self.failure.take()
    }

    /// The beginning, for a look at what it is: at most one block.
    pub(crate) fn start(&mut self) -> Result<&str, Refusal> {
        self.decode_block()?;
        Ok(std::str::from_utf8(&self.decoded[self.pending.clone()]).unwrap_or_default())
    }

    /// Reads one line without its end; `None` behind the last one. What stands before the first line break is line 1.
    pub(crate) fn read_line(&mut self) -> Result<Option<String>, Refusal> {
        self.renew();
        let mut line = Vec::new();
        let read = self.read_until(b'\n', &mut line);
        let length = read.map_err(|error| self.refusal(error))?;
        if length == 0 {
            return Ok(None);
        }
        for end in [b'\n', b'\r'] {
            if line.last() == Some(&end) {
                line.pop();
            }
        }
        let line = String::from_utf8(line);
        line.map(Some).map_err(|_| Reason::Encoding { encoding: self.encoding.name() }.at(self.line))
    }

    /// The SHA-256 of all bytes read, and how many there were.
    pub(crate) fn finish(self) -> ([u8; 32], u64) {
        (self.hash.finalize().into(), self.bytes)
    }
}

impl<R: Read> BufRead for Text<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let filled = match self.decode_block() {
            Ok(()) if self.budget == 0 && !self.pending.is_empty() => {
                Err(Reason::TooLong { limit: self.limits.piece }.at(self.line))
            }
            result => result,
        };
        if let Err(refusal) = filled {
            self.failure = Some(refusal);
            return Err(io::Error::other("refused"));
        }
        let end = self.pending.end.min(self.pending.start + self.budget);
        Ok(&self.decoded[self.pending.start..end])
    }

    fn consume(&mut self, amount: usize) {
        let taken = self.pending.start..self.pending.start + amount;
        self.line += newlines(&self.decoded[taken]);
        self.pending.start += amount;
        self.budget -= amount;
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |lines, byte| lines + u64::from(*byte == b'\n'))
}

/// The encoding that a declaration of XML names, if there is one that is known.
fn declared_by_xml(start: &[u8]) -> Option<&'static Encoding> {
    let declaration = start.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&declaration[..end]).ok()?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Encoding::for_label(value[1..].split(quote).next()?.as_bytes())
}

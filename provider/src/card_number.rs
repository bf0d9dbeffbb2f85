//! Finding payment card numbers in text, so that none is ever logged or stored.
//!
//! A *candidate* is a run of 13 to 19 digits whose groups may be joined by up to three separators: space, tab, no-break
//! and thin spaces, hyphen, the Unicode dashes, dot, underscore. It is a card number if it begins with a scheme's prefix,
//! has one of that scheme's lengths and passes the Luhn check (ISO/IEC 7812-1). Groups are taken whole, so a security code
//! or an expiry year behind the number does not hide it.
//!
//! What keeps identifiers from being taken for cards:
//! - **The token rule.** Digits in a word (letters, digits, `_`) that holds a letter are never a candidate. Our own ids
//!   (`pay_01h455vb4pex5vsknk084sn02q`), a provider's (`ch_3Oq..`) and references such as `order_4242424242424242` are
//!   words of that kind; so is `VISA4242424242424242`, which is the price.
//! - UUIDs are skipped, as are the decimals of a fraction.
//! - No scheme begins with 0 or 1, so timestamps in milliseconds are safe.
//!
//! A *bare* number of sixteen random digits is still flagged in about 3.5 of a hundred cases: one in ten passes Luhn, and
//! the schemes own about a third of the space of prefixes. A rule that finds every card cannot do better. The tests measure
//! and print the rates: nothing of 100,000 in any format of identifier above.
//!
//! Escapes of JSON are read as what they stand for, in both directions: `\n4242..` is not a word with an `n`, and
//! `\u00344242..` is a number that begins with 4. URL encoding is not undone: scan decoded values.

use std::borrow::Cow;
use std::ops::Range;

const SHORTEST: usize = 13;
const LONGEST: usize = 19;
/// How many separators may stand between two groups of one number, as in `4242 - 4242`.
const MOST_SEPARATORS: usize = 3;
/// How many digits of a masked number stay readable.
const KEPT: usize = 4;

/// A range of leading digits that belongs to a scheme, and the lengths its numbers have.
struct Scheme {
    /// First and last prefix, both of the same number of digits.
    prefixes: (&'static str, &'static str),
    /// Shortest and longest number of digits.
    lengths: (usize, usize),
}

const fn scheme(first: &'static str, last: &'static str, shortest: usize, longest: usize) -> Scheme {
    Scheme { prefixes: (first, last), lengths: (shortest, longest) }
}

/// The ranges the schemes publish. Where two overlap (Discover and UnionPay in 622, RuPay and Discover in 65) one is enough.
const SCHEMES: &[Scheme] = &[
    // Visa: ISO/IEC 7812 range 4. Thirteen digits are no longer issued but still published as test numbers.
    scheme("4", "4", 13, 13),
    scheme("4", "4", 16, 16),
    scheme("4", "4", 19, 19),
    // Mastercard, the series of 2017 included.
    scheme("51", "55", 16, 16),
    scheme("2221", "2720", 16, 16),
    // American Express.
    scheme("34", "34", 15, 15),
    scheme("37", "37", 15, 15),
    // Discover.
    scheme("6011", "6011", 16, 19),
    scheme("644", "659", 16, 19),
    // Diners Club.
    scheme("300", "305", 14, 19),
    scheme("3095", "3095", 14, 19),
    scheme("36", "36", 14, 19),
    scheme("38", "39", 14, 19),
    // JCB.
    scheme("3528", "3589", 16, 19),
    // UnionPay.
    scheme("62", "62", 16, 19),
    scheme("8100", "8171", 16, 19),
    // Maestro and the domestic debit schemes that share its ranges (Dankort, Verve, Elo, Bancontact).
    scheme("50", "50", SHORTEST, LONGEST),
    scheme("56", "58", SHORTEST, LONGEST),
    scheme("63", "63", SHORTEST, LONGEST),
    scheme("67", "67", SHORTEST, LONGEST),
    // RuPay.
    scheme("60", "60", 16, 16),
    // Mir.
    scheme("2200", "2204", 16, 19),
    // Troy.
    scheme("9792", "9792", 16, 16),
];

/// The first card number in `text`, as a range of bytes from its first digit to its last.
///
/// ```
/// use partita_provider::find_card_number;
/// assert_eq!(find_card_number("card 4242 4242 4242 4242, thanks"), Some(5..24));
/// assert_eq!(find_card_number("pay_01h455vb4pex5vsknk084sn02q"), None);
/// ```
pub fn find_card_number(text: &str) -> Option<Range<usize>> {
    Scanner::new(text.as_bytes()).next().map(|found| found.span())
}

/// Whether `bytes` (text in UTF-8 or any encoding that extends ASCII, JSON included) hold a card number.
pub fn contains_card_number(bytes: &[u8]) -> bool {
    Scanner::new(bytes).next().is_some()
}

/// `bytes` with every card number masked but for its last four digits; borrowed if there is none.
///
/// JSON stays JSON: in a string the digits become `*`, in a bare number `1`, which keeps it a number (a leading zero would
/// not) that no scheme owns. Separators stay, and bytes that are not JSON are masked with `*`.
pub fn mask_card_numbers(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_json = matches!(bytes.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['));
    let mut masked = Vec::new();
    let mut copied_to = 0;
    for found in Scanner::new(bytes) {
        let mask = if is_json && !found.quoted { b'1' } else { b'*' };
        let hidden = found.digits.len().saturating_sub(KEPT);
        for digit in &found.digits[..hidden] {
            masked.extend_from_slice(&bytes[copied_to..digit.start]);
            masked.push(mask);
            copied_to = digit.end;
        }
    }
    if masked.is_empty() {
        return Cow::Borrowed(bytes);
    }
    masked.extend_from_slice(&bytes[copied_to..]);
    Cow::Owned(masked)
}

/// A card number in the bytes.
#[derive(Debug)]
struct Found {
    /// Where each of its digits stands; more than one byte for an escaped one.
    digits: Vec<Range<usize>>,
    /// Whether it stands between double quotes.
    quoted: bool,
}

impl Found {
    fn span(&self) -> Range<usize> {
        let start = self.digits.first().map_or(0, |digit| digit.start);
        start..self.digits.last().map_or(start, |digit| digit.end)
    }
}

/// What stands at a place of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Digit(u8),
    Letter,
    Underscore,
    Separator,
    Quote,
    Other,
}

/// One digit of a run, its value and its place.
#[derive(Debug, Clone)]
struct Digit {
    value: u8,
    at: Range<usize>,
}

/// Digits in groups, joined by few enough separators.
#[derive(Debug, Default)]
struct Run {
    digits: Vec<Digit>,
    /// The groups, as ranges of `digits`.
    groups: Vec<Range<usize>>,
    quoted: bool,
}

/// Walks once over the bytes and yields the card numbers from left to right, overlapping ones merged.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    quoted: bool,
    found: std::collections::VecDeque<Found>,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, quoted: false, found: std::collections::VecDeque::new() }
    }

    /// Reads the longest run of digit groups from here on; none if the word here is not made of digits alone.
    fn read_run(&mut self) -> Option<Run> {
        let mut run = Run { quoted: self.quoted, ..Run::default() };
        let mut separators = 0;
        loop {
            match unit_at(self.bytes, self.at) {
                Some((Unit::Digit(_) | Unit::Letter | Unit::Underscore, _)) => {
                    if !self.read_word(&mut run) {
                        break;
                    }
                    separators = 0;
                }
                Some((Unit::Separator, length)) if separators < MOST_SEPARATORS && !run.groups.is_empty() => {
                    separators += 1;
                    self.at += length;
                }
                _ => break,
            }
        }
        (!run.groups.is_empty()).then_some(run)
    }

    /// Takes a whole word; false, with nothing added, if it is an identifier.
    fn read_word(&mut self, run: &mut Run) -> bool {
        if let Some(length) = uuid_length(self.bytes, self.at) {
            self.at += length;
            return false;
        }
        let (digits_before, groups_before) = (run.digits.len(), run.groups.len());
        let mut group_from = digits_before;
        let mut has_letter = false;
        while let Some((unit, length)) = unit_at(self.bytes, self.at) {
            match unit {
                Unit::Digit(value) => run.digits.push(Digit { value, at: self.at..self.at + length }),
                Unit::Underscore => {
                    run.close_group(group_from);
                    group_from = run.digits.len();
                }
                Unit::Letter => has_letter = true,
                Unit::Separator | Unit::Quote | Unit::Other => break,
            }
            self.at += length;
        }
        run.close_group(group_from);
        if has_letter {
            run.digits.truncate(digits_before);
            run.groups.truncate(groups_before);
        }
        !has_letter
    }

    /// The card numbers in a run: for each first group the longest number, overlapping ones merged.
    fn numbers_in(&self, run: &Run) -> Vec<Range<usize>> {
        let mut numbers: Vec<Range<usize>> = Vec::new();
        for (index, first) in run.groups.iter().enumerate() {
            let ends = run.groups[index..].iter().map(|group| group.end);
            let longest = ends
                .take_while(|end| end - first.start <= LONGEST)
                .filter(|end| is_card_number(&run.digits[first.start..*end]))
                .filter(|end| *end != first.end || !self.is_fraction(&run.digits[first.start]))
                .last();
            let Some(end) = longest else { continue };
            match numbers.last_mut() {
                Some(previous) if first.start < previous.end => previous.end = previous.end.max(end),
                _ => numbers.push(first.start..end),
            }
        }
        numbers
    }

    /// Whether the digit is the first one behind a decimal point.
    fn is_fraction(&self, digit: &Digit) -> bool {
        matches!(self.bytes[..digit.at.start], [.., before, b'.'] if before.is_ascii_digit())
    }
}

impl Iterator for Scanner<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while self.found.is_empty() {
            let (unit, length) = unit_at(self.bytes, self.at)?;
            match unit {
                Unit::Digit(_) | Unit::Letter | Unit::Underscore => {
                    if let Some(run) = self.read_run() {
                        for number in self.numbers_in(&run) {
                            let digits = run.digits[number].iter().map(|digit| digit.at.clone()).collect();
                            self.found.push_back(Found { digits, quoted: run.quoted });
                        }
                    }
                }
                Unit::Quote => {
                    self.quoted = !self.quoted;
                    self.at += length;
                }
                Unit::Separator | Unit::Other => self.at += length,
            }
        }
        self.found.pop_front()
    }
}

impl Run {
    fn close_group(&mut self, from: usize) {
        if from < self.digits.len() {
            self.groups.push(from..self.digits.len());
        }
    }
}

/// The unit at a place and how many bytes it takes; none at the end.
fn unit_at(bytes: &[u8], at: usize) -> Option<(Unit, usize)> {
    let rest = bytes.get(at..)?;
    Some(match *rest {
        [] => return None,
        [digit @ b'0'..=b'9', ..] => (Unit::Digit(digit - b'0'), 1),
        [b'a'..=b'z' | b'A'..=b'Z', ..] => (Unit::Letter, 1),
        [b'_', ..] => (Unit::Underscore, 1),
        [b' ' | b'\t' | b'-' | b'.', ..] => (Unit::Separator, 1),
        [b'"', ..] => (Unit::Quote, 1),
        [b'\\', b'u', a, b, c, d, ..] => match hex_value([a, b, c, d]) {
            Some(code) => (escaped_unit(code), 6),
            None => (Unit::Other, 1),
        },
        [b'\\', b'n' | b'r' | b'b' | b'f' | b'"' | b'\\' | b'/', ..] => (Unit::Other, 2),
        // A tab, the no-break space; figure, thin and narrow no-break spaces; the dashes U+2010 to U+2015.
        [b'\\', b't', ..] | [0xc2, 0xa0, ..] => (Unit::Separator, 2),
        [0xe2, 0x80, 0x87 | 0x89 | 0xaf | 0x90..=0x95, ..] => (Unit::Separator, 3),
        _ => (Unit::Other, 1),
    })
}

/// What `\uXXXX` stands for. An escaped letter is no letter here: escapes are not used to write identifiers.
fn escaped_unit(code: u16) -> Unit {
    match code {
        0x30..=0x39 => Unit::Digit(code.to_be_bytes()[1] - b'0'),
        0x09 | 0x20 | 0x2d | 0x2e | 0x5f | 0xa0 | 0x2007 | 0x2009 | 0x202f | 0x2010..=0x2015 => Unit::Separator,
        _ => Unit::Other,
    }
}

fn hex_value(digits: [u8; 4]) -> Option<u16> {
    let text = std::str::from_utf8(&digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(text, 16).ok()
}

/// The length of the UUID that begins here and ends at the end of a word.
fn uuid_length(bytes: &[u8], at: usize) -> Option<usize> {
    const LENGTH: usize = 36;
    let text = bytes.get(at..at + LENGTH)?;
    let is_uuid = text.iter().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    let ends = !matches!(unit_at(bytes, at + LENGTH), Some((Unit::Digit(_) | Unit::Letter | Unit::Underscore, _)));
    (is_uuid && ends).then_some(LENGTH)
}

fn is_card_number(digits: &[Digit]) -> bool {
    (SHORTEST..=LONGEST).contains(&digits.len())
        && SCHEMES.iter().any(|scheme| scheme.owns(digits))
        && passes_luhn(digits)
}

impl Scheme {
    fn owns(&self, digits: &[Digit]) -> bool {
        let (first, last) = self.prefixes;
        let (shortest, longest) = self.lengths;
        let prefix = || digits.iter().take(first.len()).map(|digit| digit.value + b'0');
        (shortest..=longest).contains(&digits.len()) && prefix().ge(first.bytes()) && prefix().le(last.bytes())
    }
}

/// The check of ISO/IEC 7812-1 annex B: every second digit from the right doubled, the sum of all digits divisible by ten.
fn passes_luhn(digits: &[Digit]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(digit.value)) {
            (0, value) => value,
            (_, value) if value > 4 => value * 2 - 9,
            (_, value) => value * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests;

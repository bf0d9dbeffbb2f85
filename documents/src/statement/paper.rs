//! Where everything stands on A4. Lengths in tenths of a point, from the upper left corner; texts by their baseline.

use super::glyphs::Face;
use super::words::Words;
use super::{Checked, Statement};
use crate::{Error, Language};

const WIDTH: i16 = 5953;
pub(super) const HEIGHT: i16 = 8419;
const LEFT: i16 = 480;
const RIGHT: i16 = WIDTH - LEFT;
const TOP: i16 = 480;
/// Nothing but the foot stands below.
const BOTTOM: i16 = HEIGHT - 600;
const FOOT: i16 = HEIGHT - 400;
const LINE: i16 = 115;
/// Between the lines of a table.
const GAP: i16 = 50;
/// Where descriptions begin, and how wide they are.
const TEXT: i16 = 1080;
const TEXT_WIDTH: i16 = 2520;
/// The right edge of amounts.
const AMOUNT: i16 = 4500;
/// Where the facts beside the address begin.
const FACTS: i16 = 2850;
/// How wide their names are.
const FACT: i16 = 950;

/// What fits the head for a logo.
pub(super) const LOGO: (u32, u32) = (1500, 450);

/// A text where it stands.
pub(super) struct Placed {
    pub(super) x: i16,
    pub(super) y: i16,
    pub(super) style: Style,
    pub(super) text: String,
}

/// A line across.
pub(super) struct Rule {
    pub(super) y: i16,
    pub(super) strong: bool,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) size: i16,
    pub(super) bold: bool,
    pub(super) soft: bool,
}

const PLAIN: Style = Style { size: 90, bold: false, soft: false };
const BOLD: Style = Style { size: 90, bold: true, soft: false };
const SOFT: Style = Style { size: 78, bold: false, soft: true };
const TITLE: Style = Style { size: 180, bold: true, soft: false };
const HEADING: Style = Style { size: 115, bold: true, soft: false };

/// One page.
#[derive(Default)]
pub(super) struct Sheet {
    pub(super) texts: Vec<Placed>,
    pub(super) rules: Vec<Rule>,
}

impl Sheet {
    pub(super) const LEFT: i16 = LEFT;
    pub(super) const RIGHT: i16 = RIGHT;
    pub(super) const TOP: i16 = TOP;
}

/// Pages as they fill.
pub(super) struct Paper<'a> {
    regular: &'a Face,
    bold: &'a Face,
    sheets: Vec<Sheet>,
    y: i16,
    /// The row and column that are placed, for errors.
    at: (u64, &'static str),
}

/// The pages of a statement.
pub(super) fn pages(checked: &Checked<'_>, regular: &Face, bold: &Face) -> Result<Vec<Sheet>, Error> {
    let (statement, words) = (checked.statement, checked.statement.language.words());
    let mut paper = Paper { regular, bold, sheets: vec![Sheet::default()], y: TOP, at: (0, "head") };
    paper.head(statement, words)?;
    paper.summary(checked, words)?;
    paper.held(statement, words)?;
    paper.movements(checked, words)?;
    paper.feet(statement, words)?;
    Ok(paper.sheets)
}

impl Paper<'_> {
    fn face(&self, style: Style) -> &Face {
        if style.bold { self.bold } else { self.regular }
    }

    fn width(&self, style: Style, text: &str) -> Result<i16, Error> {
        let (row, field) = self.at;
        let width = self.face(style).width(text, style.size.into());
        let width = width.map_err(|character| Error::Character { row, field, character })?;
        Ok(i16::try_from(width).unwrap_or(i16::MAX))
    }

    fn place(&mut self, x: i16, style: Style, text: &str) {
        let placed = Placed { x, y: self.y, style, text: text.to_owned() };
        self.sheets.last_mut().expect("there is a page").texts.push(placed);
    }

    fn left(&mut self, x: i16, style: Style, text: &str) -> Result<(), Error> {
        self.width(style, text)?;
        self.place(x, style, text);
        Ok(())
    }

    fn right(&mut self, edge: i16, style: Style, text: &str) -> Result<(), Error> {
        let width = self.width(style, text)?;
        self.place(edge.saturating_sub(width), style, text);
        Ok(())
    }

    fn rule(&mut self, strong: bool) {
        let y = self.y;
        self.sheets.last_mut().expect("there is a page").rules.push(Rule { y, strong });
    }

    /// The text in lines of this width, broken at spaces, and within words that are wider than a line.
    fn wrapped(&self, style: Style, text: &str, width: i16) -> Result<Vec<String>, Error> {
        let (mut lines, mut line) = (Vec::new(), String::new());
        for word in text.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if self.width(style, &longer)? <= width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            for character in word.chars() {
                line.push(character);
                if self.width(style, &line)? > width && line.chars().count() > 1 {
                    line.pop();
                    lines.push(std::mem::replace(&mut line, character.to_string()));
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        Ok(lines)
    }

    /// A block of lines from here down.
    fn block(&mut self, x: i16, style: Style, lines: &[String]) {
        for line in lines {
            self.place(x, style, line);
            self.y += LINE;
        }
    }

    fn head(&mut self, statement: &Statement, words: &Words) -> Result<(), Error> {
        self.y = TOP + 90;
        self.address(&statement.platform.name, &statement.platform.address, 3000)?;
        self.y = self.y.max(TOP + 520) + 200;
        self.left(LEFT, TITLE, words.title)?;
        self.y += 260;
        let top = self.y;
        self.address(&statement.seller.name, &statement.seller.address, FACTS - LEFT - 150)?;
        let below = std::mem::replace(&mut self.y, top);
        for (name, text) in statement.facts() {
            self.left(FACTS, SOFT, name)?;
            let lines = self.wrapped(PLAIN, &text, RIGHT - FACTS - FACT)?;
            self.block(FACTS + FACT, PLAIN, &lines);
        }
        self.y = self.y.max(below) + 150;
        Ok(())
    }

    fn address(&mut self, name: &str, address: &[String], width: i16) -> Result<(), Error> {
        let lines = self.wrapped(BOLD, name, width)?;
        self.block(LEFT, BOLD, &lines);
        for line in address {
            let lines = self.wrapped(PLAIN, line, width)?;
            self.block(LEFT, PLAIN, &lines);
        }
        Ok(())
    }

    fn heading(&mut self, text: &str) -> Result<(), Error> {
        if self.y > BOTTOM - 900 {
            self.turn();
        }
        self.left(LEFT, HEADING, text)?;
        self.y += 170;
        Ok(())
    }

    fn turn(&mut self) {
        self.sheets.push(Sheet::default());
        self.y = TOP + 90;
    }

    /// A line of a table without dates: name, number, amount.
    fn sum(&mut self, style: Style, name: &str, number: &str, amount: &str) -> Result<(), Error> {
        let lines = self.wrapped(style, name, AMOUNT - LEFT - 700)?;
        if self.y > BOTTOM - 300 {
            self.turn();
        }
        self.right(AMOUNT, style, number)?;
        self.right(RIGHT, style, amount)?;
        self.block(LEFT, style, &lines);
        self.end_line(style.bold);
        Ok(())
    }

    fn end_line(&mut self, strong: bool) {
        self.y -= LINE - 35;
        self.rule(strong);
        self.y += LINE + GAP - 35;
    }

    fn summary(&mut self, checked: &Checked<'_>, words: &Words) -> Result<(), Error> {
        let statement = checked.statement;
        let (language, currency) = (statement.language, statement.opening.currency);
        self.heading(words.summary)?;
        self.sum(BOLD, words.kind, words.number, &format!("{} ({currency})", words.amount))?;
        self.sum(PLAIN, words.opening, "", &language.amount(statement.opening))?;
        for &(kind, count, sum) in &checked.summary {
            self.sum(PLAIN, language.kind(kind), &count.to_string(), &language.minor(sum, currency))?;
        }
        self.sum(BOLD, words.closing, "", &language.amount(statement.closing))?;
        self.y += 150;
        Ok(())
    }

    fn held(&mut self, statement: &Statement, words: &Words) -> Result<(), Error> {
        if statement.held.is_empty() {
            return Ok(());
        }
        self.at = (0, "held");
        self.heading(words.held)?;
        for held in &statement.held {
            self.sum(PLAIN, &held.reason, "", &statement.language.amount(held.amount))?;
        }
        self.y += 150;
        Ok(())
    }

    fn movements(&mut self, checked: &Checked<'_>, words: &Words) -> Result<(), Error> {
        let statement = checked.statement;
        let (language, currency) = (statement.language, statement.opening.currency);
        self.heading(words.movements)?;
        if statement.lines.is_empty() {
            return self.left(LEFT, PLAIN, words.none);
        }
        self.names(statement, words)?;
        self.carried(words.opening, &language.amount(statement.opening))?;
        let mut balance = i128::from(statement.opening.minor);
        for ((line, after), row) in statement.lines.iter().zip(&checked.balances).zip(1..) {
            self.at = (row, "text");
            let kind = language.kind(line.kind);
            let text = line.text.as_ref().map_or_else(|| kind.to_owned(), |text| format!("{kind} – {text}"));
            let text = self.wrapped(PLAIN, &text, TEXT_WIDTH)?;
            self.at = (row, "reference");
            let reference = self.wrapped(SOFT, &line.reference, TEXT_WIDTH)?;
            self.make_room(text.len() + reference.len(), statement, words, balance)?;
            self.left(LEFT, PLAIN, &language.date(line.date))?;
            self.right(AMOUNT, PLAIN, &language.amount(line.amount))?;
            self.right(RIGHT, PLAIN, &language.minor(*after, currency))?;
            self.block(TEXT, PLAIN, &text);
            self.block(TEXT, SOFT, &reference);
            self.end_line(false);
            balance = *after;
        }
        self.carried(words.closing, &language.amount(statement.closing))
    }

    /// Turns the page where this many lines, and a sum below them, have no room: the balance is carried over.
    fn make_room(&mut self, lines: usize, statement: &Statement, words: &Words, balance: i128) -> Result<(), Error> {
        let lines = i16::try_from(lines).expect("texts are short enough for a page");
        if self.y + lines * LINE + 2 * (LINE + GAP) <= BOTTOM {
            return Ok(());
        }
        let balance = statement.language.minor(balance, statement.opening.currency);
        self.carried(words.carried_forward, &balance)?;
        self.turn();
        self.names(statement, words)?;
        self.carried(words.brought_forward, &balance)
    }

    fn names(&mut self, statement: &Statement, words: &Words) -> Result<(), Error> {
        let currency = statement.opening.currency;
        self.left(LEFT, BOLD, words.date)?;
        self.left(TEXT, BOLD, words.description)?;
        self.right(AMOUNT, BOLD, &format!("{} ({currency})", words.amount))?;
        self.right(RIGHT, BOLD, &format!("{} ({currency})", words.balance))?;
        self.y += LINE;
        self.end_line(true);
        Ok(())
    }

    fn carried(&mut self, name: &str, balance: &str) -> Result<(), Error> {
        self.left(TEXT, BOLD, name)?;
        self.right(RIGHT, BOLD, balance)?;
        self.y += LINE;
        self.end_line(true);
        Ok(())
    }

    fn feet(&mut self, statement: &Statement, words: &Words) -> Result<(), Error> {
        self.at = (0, "foot");
        let pages = std::mem::take(&mut self.sheets);
        let count = pages.len();
        let period = period(statement, statement.language);
        for (sheet, page) in pages.into_iter().zip(1..) {
            self.sheets.push(sheet);
            self.y = FOOT;
            self.left(LEFT, SOFT, &format!("{} · {} · {period}", words.title, statement.seller_id))?;
            self.right(RIGHT, SOFT, &format!("{} {page} {} {count}", words.page, words.of))?;
        }
        Ok(())
    }
}

fn period(statement: &Statement, language: Language) -> String {
    format!("{} – {}", language.date(statement.from), language.date(statement.to))
}

//! Bars across, a line for each: how a balance came about, and how old what is open is.

use partita_provider::{Currency, Money};

use super::svg::{Drawing, WIDTH, scaled, shortened};
use super::{Caption, Chart, same_currency};
use crate::{Error, amount};

/// Where bars begin, and how long the longest is; values stand to the right of them.
const LEFT: i64 = 230;
const LENGTH: i64 = 340;
const ROW: i64 = 34;
const BAR: i64 = 20;
const TOP: i64 = 50;
/// Characters of a name that fit before the bars.
const NAME: usize = 28;

/// A roll-forward: opening, steps, closing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waterfall {
    /// What it says of itself.
    pub caption: Caption,
    /// The opening balance, by its name.
    pub opening: Step,
    /// What changed it, in order.
    pub steps: Vec<Step>,
    /// The closing balance; opening and steps make it.
    pub closing: Step,
}

/// A name and an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub name: String,
    /// How much; below zero falls.
    pub amount: Money,
}

/// What is open by age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ageing {
    /// What it says of itself.
    pub caption: Caption,
    /// From young to old.
    pub buckets: Vec<Bucket>,
}

/// What has one age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// As `8–30 days`.
    pub name: String,
    /// How many items.
    pub count: u64,
    /// What they come to, not below zero.
    pub amount: Money,
}

/// One bar: from one value to another.
struct Bar<'a> {
    name: &'a str,
    from: i128,
    to: i128,
    value: String,
    fill: Fill,
}

#[derive(Clone, Copy)]
enum Fill {
    Total,
    Rise,
    Fall,
}

impl Waterfall {
    /// Draws it.
    ///
    /// # Errors
    /// [`Error::DoesNotClose`], [`Error::Currency`] with the step's number, [`Error::Field`].
    pub fn draw(&self) -> Result<Chart, Error> {
        self.caption.check()?;
        let (language, currency) = (self.caption.language, self.opening.amount.currency);
        let mut balance = i128::from(self.opening.amount.minor);
        let written = |minor| language.minor(minor, currency);
        let total = |name, minor| Bar { name, from: 0, to: minor, value: written(minor), fill: Fill::Total };
        let mut bars = vec![total(self.opening.name.as_str(), balance)];
        for (step, row) in self.steps.iter().zip(1..) {
            same_currency(row, "amount", currency, step.amount)?;
            let (from, to) = (balance, balance + i128::from(step.amount.minor));
            let (sign, fill) = if to < from { ("", Fill::Fall) } else { ("+", Fill::Rise) };
            bars.push(Bar { name: &step.name, from, to, value: format!("{sign}{}", written(to - from)), fill });
            balance = to;
        }
        same_currency(0, "closing", currency, self.closing.amount)?;
        if balance != i128::from(self.closing.amount.minor) {
            let stated = amount::plain_money(self.closing.amount);
            return Err(Error::DoesNotClose { computed: amount::plain(balance, currency), stated });
        }
        bars.push(total(&self.closing.name, balance));
        let rows: Vec<_> = bars.iter().map(|bar| vec![bar.name.to_owned(), bar.value.clone()]).collect();
        let drawing = draw_bars(&self.caption, currency, &bars, true);
        let heads = [language.pick("Posten", "Poste", "Item"), currency.code()];
        Ok(drawing.finish(&self.caption, &heads, &rows))
    }
}

impl Ageing {
    /// Draws it.
    ///
    /// # Errors
    /// [`Error::Field`] without buckets or for an amount below zero, [`Error::Currency`] with the bucket's number.
    pub fn draw(&self) -> Result<Chart, Error> {
        self.caption.check()?;
        let language = self.caption.language;
        let Some(first) = self.buckets.first() else {
            return Err(Error::field(0, "buckets", "there are none"));
        };
        let currency = first.amount.currency;
        let (mut bars, mut rows) = (Vec::new(), Vec::new());
        for (bucket, row) in self.buckets.iter().zip(1..) {
            same_currency(row, "amount", currency, bucket.amount)?;
            if bucket.amount.minor < 0 {
                return Err(Error::field(row, "amount", "is below zero"));
            }
            let amount = language.amount(bucket.amount);
            rows.push(vec![bucket.name.clone(), bucket.count.to_string(), amount.clone()]);
            let value = format!("{amount} ({})", bucket.count);
            bars.push(Bar { name: &bucket.name, from: 0, to: bucket.amount.minor.into(), value, fill: Fill::Total });
        }
        let drawing = draw_bars(&self.caption, currency, &bars, false);
        let heads =
            [language.pick("Alter", "Âge", "Age"), language.pick("Anzahl", "Nombre", "Number"), currency.code()];
        Ok(drawing.finish(&self.caption, &heads, &rows))
    }
}

fn draw_bars(caption: &Caption, currency: Currency, bars: &[Bar<'_>], tied: bool) -> Drawing {
    let rows = i64::try_from(bars.len()).expect("bars are counted");
    let mut drawing = Drawing::new(TOP + rows * ROW + 10);
    drawing.text(0, 20, "start", "bold", &shortened(&caption.title, 70));
    drawing.text(WIDTH, 20, "end", "soft", currency.code());
    let ends = || bars.iter().flat_map(|bar| [bar.from, bar.to]).chain([0]);
    let range = (ends().min().unwrap_or(0), ends().max().unwrap_or(0));
    let at = |value| LEFT + scaled(value, range, LENGTH);
    drawing.line((at(0), TOP - 8), (at(0), TOP + rows * ROW), "axis");
    for (bar, row) in bars.iter().zip(0..) {
        let y = TOP + row * ROW;
        let (from, to) = (at(bar.from), at(bar.to));
        drawing.text(LEFT - 15, y + 15, "end", "name", &shortened(bar.name, NAME));
        let hatch = format!("url(#{}-hatch)", caption.id);
        let fill = match bar.fill {
            Fill::Total => "#16325c",
            Fill::Rise => "#9cc3e6",
            Fill::Fall => hatch.as_str(),
        };
        if bar.from != bar.to {
            drawing.bar((from.min(to), y), ((from - to).abs().max(1), BAR), fill);
        }
        if tied && row + 1 < rows {
            drawing.line((to, y + BAR), (to, y + ROW), "tie");
        }
        drawing.text(WIDTH, y + 15, "end", "value", &bar.value);
    }
    drawing
}

//! Lines over time: fees and margin by month.

use partita_provider::{Currency, Money};

use super::svg::{Drawing, WIDTH, scaled, shortened};
use super::{Caption, Chart, same_currency};
use crate::Error;

const LEFT: i64 = 120;
const RIGHT: i64 = WIDTH - 20;
const TOP: i64 = 50;
const HEIGHT: i64 = 220;
/// Gaps between lines of the grid, at most, but for one more where values are on both sides of zero.
const GAPS: i128 = 5;
/// Names below the points, at most.
const MOST_NAMES: usize = 12;
/// Dark enough on white for text, apart for those who see fewer colours; dashes and marks tell them too.
const COLORS: [&str; 4] = ["#16325c", "#b3401b", "#1b6e4a", "#6b3fa0"];
const DASHES: [&str; 4] = ["none", "8 4", "2 3", "10 3 2 3"];

/// Amounts over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// What it says of itself.
    pub caption: Caption,
    /// The names of the points in time, in order.
    pub points: Vec<String>,
    /// One to four lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// An amount for each point in time.
    pub amounts: Vec<Money>,
}

impl Lines {
    /// Draws it.
    ///
    /// # Errors
    /// [`Error::Field`] for a series without an amount for each point, none or more than four; [`Error::Currency`].
    pub fn draw(&self) -> Result<Chart, Error> {
        self.caption.check()?;
        let currency = self.currency()?;
        let language = self.caption.language;
        let (range, unit) = self.range();
        let low_edge = TOP + HEIGHT;
        let y_of = |minor: i128| low_edge - scaled(minor, range, HEIGHT);
        let gaps = i128::try_from(self.points.len().saturating_sub(1).max(1)).expect("points are counted");
        let x_of = |place: usize| LEFT + 20 + scaled(i128::try_from(place).unwrap_or(0), (0, gaps), RIGHT - LEFT - 40);
        let legend = i64::try_from(self.series.len()).expect("four at most");
        let mut drawing = Drawing::new(low_edge + 50 + legend * 22);
        drawing.text(0, 20, "start", "bold", &shortened(&self.caption.title, 70));
        drawing.text(WIDTH, 20, "end", "soft", currency.code());
        let mut minor = range.0;
        while minor <= range.1 {
            let y = y_of(minor);
            drawing.line((LEFT, y), (RIGHT, y), "grid");
            drawing.text(LEFT - 10, y + 4, "end", "soft", &language.minor(minor, currency));
            minor += unit;
        }
        drawing.line((LEFT, y_of(0)), (RIGHT, y_of(0)), "axis");
        let every = self.points.len().div_ceil(MOST_NAMES).max(1);
        for (place, name) in self.points.iter().enumerate().step_by(every) {
            drawing.text(x_of(place), low_edge + 22, "middle", "soft", &shortened(name, 9));
        }
        for (number, (series, row)) in self.series.iter().zip(0..).enumerate() {
            let color = COLORS[number];
            let spot = |(place, money): (usize, &Money)| (x_of(place), y_of(money.minor.into()));
            let spots: Vec<_> = series.amounts.iter().enumerate().map(spot).collect();
            drawing.path(&spots, color, DASHES[number]);
            for &spot in &spots {
                drawing.mark(number, spot, color);
            }
            let y = low_edge + 50 + row * 22;
            drawing.path(&[(LEFT, y), (LEFT + 50, y)], color, DASHES[number]);
            drawing.mark(number, (LEFT + 25, y), color);
            drawing.text(LEFT + 62, y + 5, "start", "name", &shortened(&series.name, 60));
        }
        let mut heads = vec![language.pick("Zeitraum", "Période", "Period")];
        heads.extend(self.series.iter().map(|series| series.name.as_str()));
        Ok(drawing.finish(&self.caption, &heads, &self.rows()))
    }

    fn currency(&self) -> Result<Currency, Error> {
        if self.points.is_empty() || !(1..=COLORS.len()).contains(&self.series.len()) {
            return Err(Error::field(0, "series", "there are not one to four over at least one point"));
        }
        let mut all = self.series.iter().zip(1..);
        if let Some((_, row)) = all.find(|(series, _)| series.amounts.len() != self.points.len()) {
            return Err(Error::field(row, "amounts", "has not one for each point"));
        }
        let currency = self.series[0].amounts[0].currency;
        for (series, row) in self.series.iter().zip(1..) {
            for money in &series.amounts {
                same_currency(row, "amounts", currency, *money)?;
            }
        }
        Ok(currency)
    }

    /// From the lowest to the highest value, zero among them, the ends rounded outwards to the unit of the grid; and that unit.
    fn range(&self) -> ((i128, i128), i128) {
        let values = || self.series.iter().flat_map(|series| &series.amounts).map(|money| i128::from(money.minor));
        let (low, high) = (values().min().unwrap_or(0).min(0), values().max().unwrap_or(0).max(0));
        let unit = round_step(high - low);
        ((low.div_euclid(unit) * unit, (high + unit - 1).div_euclid(unit) * unit), unit)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let language = self.caption.language;
        let row = |(place, name): (usize, &String)| {
            let amounts = self.series.iter().map(|series| language.amount(series.amounts[place]));
            std::iter::once(name.clone()).chain(amounts).collect()
        };
        self.points.iter().enumerate().map(row).collect()
    }
}

/// 1, 2 or 5 times a power of ten, of which [`GAPS`] cover the range.
fn round_step(range: i128) -> i128 {
    let mut ten = 1;
    loop {
        for digit in [1, 2, 5] {
            if GAPS * digit * ten >= range {
                return digit * ten;
            }
        }
        ten *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_round_values() {
        assert_eq!([round_step(0), round_step(6), round_step(1_000), round_step(123_456)], [1, 2, 200, 50_000]);
    }
}

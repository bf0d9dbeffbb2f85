//! The parts of a drawing. All lengths are whole: no float.

use std::fmt::Write as _;

use super::{Caption, Chart};

pub(super) const WIDTH: i64 = 720;

/// A drawing that grows.
pub(super) struct Drawing {
    body: String,
    height: i64,
}

/// A text with `<`, `>`, `&` and quotes as entities; characters that XML has not are left out.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            _ if character.is_control() => escaped.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The text, or its beginning and an ellipsis where it has more characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

impl Drawing {
    pub(super) fn new(height: i64) -> Self {
        Self { body: String::new(), height }
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("a string takes everything");
        self.body.push('\n');
    }

    /// `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, x: i64, y: i64, anchor: &str, class: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"));
    }

    pub(super) fn bar(&mut self, (x, y): (i64, i64), (width, height): (i64, i64), fill: &str) {
        self.add(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\" stroke=\"#16325c\"/>"
        ));
    }

    pub(super) fn line(&mut self, from: (i64, i64), to: (i64, i64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" class=\"{class}\"/>"));
    }

    pub(super) fn path(&mut self, points: &[(i64, i64)], color: &str, dash: &str) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let points = points.join(" ");
        self.add(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>"
        ));
    }

    /// A mark of a series: round, square, pointed or hollow.
    pub(super) fn mark(&mut self, shape: usize, (x, y): (i64, i64), color: &str) {
        match shape % 4 {
            0 => self.add(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{color}\"/>")),
            1 => {
                let (left, top) = (x - 4, y - 4);
                self.add(format_args!("<rect x=\"{left}\" y=\"{top}\" width=\"8\" height=\"8\" fill=\"{color}\"/>"));
            }
            2 => {
                let (left, right, top, low) = (x - 5, x + 5, y - 5, y + 4);
                self.add(format_args!("<polygon points=\"{left},{low} {right},{low} {x},{top}\" fill=\"{color}\"/>"));
            }
            _ => self.add(format_args!(
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"#fff\" stroke=\"{color}\" stroke-width=\"2\"/>"
            )),
        }
    }

    /// The chart, with the table of these heads and rows; the first cell of a row is its name.
    pub(super) fn finish(self, caption: &Caption, heads: &[&str], rows: &[Vec<String>]) -> Chart {
        let (id, language) = (&caption.id, caption.language);
        let (title, description) = (escaped(&caption.title), escaped(&caption.description));
        let Self { body, height } = self;
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" lang=\"{tag}\" \
             aria-labelledby=\"{id}-title {id}-description\">\n<title id=\"{id}-title\">{title}</title>\n\
             <desc id=\"{id}-description\">{description}</desc>\n<defs><pattern id=\"{id}-hatch\" width=\"6\" height=\"6\" \
             patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#fff\"/>\
             <line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"#b3401b\" stroke-width=\"4\"/></pattern></defs>\n\
             <style>text{{font:14px Arial,Helvetica,sans-serif;fill:#16181d}}.soft{{fill:#555b66;\
             font-size:12px}}.bold{{font-weight:bold}}.axis{{stroke:#16181d}}.grid{{stroke:#d5d9e0}}\
             .tie{{stroke:#555b66;stroke-dasharray:3 3}}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{body}</svg>\n",
            tag = language.tag(),
        );
        let open = language.pick("Zahlen als Tabelle", "Chiffres en tableau", "Numbers as a table");
        let heads = heads.iter().enumerate().map(|(place, head)| {
            let class = if place == 0 { "" } else { " class=\"n\"" };
            format!("<th scope=\"col\"{class}>{}</th>", escaped(head))
        });
        let heads: String = heads.collect();
        let rows: String = rows.iter().map(|row| table_row(row)).collect();
        let figure = format!(
            "<figure lang=\"{tag}\">\n<figcaption>{title}</figcaption>\n{svg}<details><summary>{open}</summary>\n\
             <table>\n<caption>{description}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
             </details>\n</figure>\n",
            tag = language.tag(),
        );
        Chart { svg, figure }
    }
}

fn table_row(row: &[String]) -> String {
    let mut cells = row.iter().map(|cell| escaped(cell));
    let name = cells.next().unwrap_or_default();
    let mut html = format!("<tr><th scope=\"row\">{name}</th>");
    for number in cells {
        write!(html, "<td class=\"n\">{number}</td>").expect("a string takes everything");
    }
    html + "</tr>\n"
}

/// Where a value stands on an axis from `low` to `high` that is `length` long; both ends may be any amount.
pub(super) fn scaled(value: i128, (low, high): (i128, i128), length: i64) -> i64 {
    let range = (high - low).max(1);
    let place = (value - low).saturating_mul(i128::from(length)) / range;
    i64::try_from(place.clamp(0, i128::from(length))).expect("it is on the axis")
}

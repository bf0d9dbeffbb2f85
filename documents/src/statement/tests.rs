use jiff::civil::date;
use partita_provider::Currency;

use super::glyphs::Face;
use super::paper::{self, Placed, Sheet};
use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("EUR is current"))
}

fn line(kind: LineKind, minor: i64) -> Line {
    let text = Some("Größe M, Łódź".to_owned());
    Line { date: date(2026, 7, 3), kind, reference: "pay_01k3".to_owned(), text, amount: eur(minor) }
}

/// 100.00 + 1,250.00 − 125.00 − 23.75 − 1,000.00 = 201.25
fn statement(language: Language) -> Statement {
    let party = |name: &str| Party { name: name.to_owned(), address: vec!["Marktstraße 1".to_owned()] };
    Statement {
        language,
        platform: party("Marktplatz GmbH"),
        logo_png: None,
        seller: party("<Bäckerei> & Söhne"),
        seller_id: "acct_01k3".to_owned(),
        from: date(2026, 7, 1),
        to: date(2026, 7, 31),
        timezone: "Europe/Berlin".to_owned(),
        position: "1:4711".to_owned(),
        position_at: "2026-08-01T06:00:00Z".parse().expect("a timestamp"),
        opening: eur(100_00),
        closing: eur(201_25),
        lines: vec![
            line(LineKind::Sale, 1_250_00),
            line(LineKind::Commission, -125_00),
            line(LineKind::Vat, -23_75),
            line(LineKind::Payout, -1_000_00),
        ],
        held: vec![Held { reason: "Reserve".to_owned(), amount: eur(50_00) }],
    }
}

/// A statement of `count` sales of one euro.
fn long(count: i64) -> Statement {
    let lines = (0..count).map(|_| line(LineKind::Sale, 1_00)).collect();
    Statement { lines, closing: eur(100_00 + count * 1_00), ..statement(Language::German) }
}

fn html(statement: &Statement) -> String {
    let mut bytes = Vec::new();
    statement.write_html(&mut bytes).expect("it closes");
    String::from_utf8(bytes).expect("HTML is UTF-8")
}

fn sheets(statement: &Statement) -> Vec<Sheet> {
    let checked = statement.check().expect("it closes");
    paper::pages(&checked, &Face::regular(), &Face::bold()).expect("the font has all of it")
}

fn texts(sheet: &Sheet) -> Vec<&str> {
    sheet.texts.iter().map(|placed| placed.text.as_str()).collect()
}

#[test]
fn each_language_has_its_words_numbers_and_days() {
    let cases = [
        (Language::German, ["Kontoauszug", "1.250,00", "\u{2212}23,75", "03.07.2026", "Umsatzsteuer auf Provision"]),
        (
            Language::French,
            ["Relevé de compte", "1\u{202f}250,00", "\u{2212}23,75", "03/07/2026", "TVA sur la commission"],
        ),
        (Language::English, ["Account statement", "1,250.00", "\u{2212}23.75", "3 Jul 2026", "VAT on commission"]),
    ];
    for (language, expected) in cases {
        let statement = statement(language);
        let (page, sheets) = (html(&statement), sheets(&statement));
        let paper = texts(&sheets[0]).join("\n");
        assert!(page.contains(&format!("<html lang=\"{}\">", language.tag())));
        for text in expected {
            assert!(page.contains(text), "{text} is not on the page");
            assert!(paper.contains(text), "{text} is not on the paper");
        }
    }
}

#[test]
fn the_balance_runs_from_opening_to_closing() {
    let statement = statement(Language::English);
    let checked = statement.check().expect("it closes");
    assert_eq!(checked.balances, [1_350_00, 1_225_00, 1_201_25, 201_25]);
    let page = html(&statement);
    for balance in ["1,350.00", "1,225.00", "1,201.25", "201.25"] {
        assert!(page.contains(&format!("data-label=\"Balance\">{balance}</td>")), "{balance} is not on the page");
    }
    assert_eq!(checked.totals.sums[0].total, "101.25");
}

#[test]
fn names_are_text_on_the_page_not_markup() {
    let page = html(&statement(Language::German));
    assert!(page.contains("<strong>&#60;Bäckerei&#62; &#38; Söhne</strong>"), "{page}");
    assert!(!page.contains("<Bäckerei>"));
    assert!(!page.contains("http"), "a statement loads nothing");
}

#[test]
fn a_statement_that_does_not_close_is_not_written() {
    let wrong = Statement { closing: eur(201_26), ..statement(Language::German) };
    let told = "opening and movements make 201.25, the closing says 201.26";
    assert_eq!(wrong.write_html(Vec::new()).expect_err("a cent is missing").to_string(), told);
    assert_eq!(wrong.write_pdf(Vec::new()).expect_err("a cent is missing").to_string(), told);
}

#[test]
fn what_cannot_stand_on_a_statement_is_refused_with_its_row() {
    let mut mixed = statement(Language::German);
    mixed.lines[1].amount = Money::new(1, Currency::parse("USD").expect("USD is current"));
    assert_eq!(mixed.write_html(Vec::new()).expect_err("USD").to_string(), "row 2, amount: USD in a document of EUR");
    let mut late = statement(Language::German);
    late.lines[2].date = date(2026, 8, 1);
    assert!(matches!(late.write_html(Vec::new()), Err(Error::Field { row: 3, field: "date", .. })));
    let mut chinese = statement(Language::German);
    chinese.lines[3].text = Some("株".to_owned());
    let refused = chinese.write_pdf(Vec::new()).expect_err("the font has no Chinese").to_string();
    assert_eq!(refused, "row 4, text: cannot be written with the character '株'");
    assert!(chinese.write_html(Vec::new()).is_ok(), "a browser has other fonts");
    let logo = Statement { logo_png: Some(b"GIF89a".to_vec()), ..statement(Language::German) };
    assert!(matches!(logo.write_html(Vec::new()), Err(Error::Field { row: 0, field: "logo", .. })));
    let mut endless = statement(Language::German);
    endless.lines[0].text = Some("x".repeat(1_001));
    assert!(matches!(endless.write_html(Vec::new()), Err(Error::Field { row: 1, field: "text", .. })));
}

#[test]
fn a_page_carries_its_balance_to_the_next() {
    let sheets = sheets(&long(200));
    assert!(sheets.len() > 3, "{} pages", sheets.len());
    let count = sheets.len();
    for (number, pair) in sheets.windows(2).enumerate() {
        let after = |sheet: &Sheet, name: &str| {
            let texts = texts(sheet);
            let at = texts.iter().position(|text| *text == name).expect("the sum is carried");
            texts[at + 1].to_owned()
        };
        let carried = after(&pair[0], "Übertrag auf die nächste Seite");
        assert_eq!(carried, after(&pair[1], "Übertrag von der vorigen Seite"));
        // The carried sum is the balance of the last line above it.
        let above = texts(&pair[0]);
        assert!(above.iter().filter(|text| **text == carried).count() >= 2, "page {number} carries another sum");
        assert!(above.contains(&format!("Seite {} von {count}", number + 1).as_str()));
    }
    assert!(texts(sheets.last().expect("pages")).contains(&"300,00"), "the last page has the closing");
}

#[test]
fn nothing_stands_beyond_the_edges_or_on_one_another() {
    let mut statement = long(60);
    statement.seller.name = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrentenauszahlungsstelle ".repeat(3);
    statement.lines[5].reference = "x".repeat(200);
    statement.lines[6].text = Some("Wort ".repeat(120));
    statement.held[0].reason = "Sicherheitseinbehalt ".repeat(12);
    let (regular, bold) = (Face::regular(), Face::bold());
    for sheet in sheets(&statement) {
        for placed in &sheet.texts {
            let face = if placed.style.bold { &bold } else { &regular };
            let width = face.width(&placed.text, placed.style.size.into()).expect("it was measured");
            let right = i32::from(placed.x) + width;
            assert!(
                placed.x >= Sheet::LEFT && right <= i32::from(Sheet::RIGHT) + 1,
                "{:?} ends at {right}",
                placed.text
            );
            assert!(placed.y < paper::HEIGHT - 350, "{:?} stands at {}", placed.text, placed.y);
        }
        let right = |placed: &Placed| {
            let face = if placed.style.bold { &bold } else { &regular };
            i32::from(placed.x) + face.width(&placed.text, placed.style.size.into()).expect("it was measured")
        };
        for (number, one) in sheet.texts.iter().enumerate() {
            for other in &sheet.texts[number + 1..] {
                let apart =
                    (one.y - other.y).abs() >= 90 || right(one) < i32::from(other.x) || right(other) < i32::from(one.x);
                assert!(apart, "{:?} stands on {:?}", one.text, other.text);
            }
        }
    }
}

#[test]
fn the_same_statement_gives_the_same_bytes() {
    let written = || {
        let mut bytes = Vec::new();
        let totals = long(100).write_pdf(&mut bytes).expect("it closes");
        assert_eq!(totals.rows, 100);
        bytes
    };
    let first = written();
    assert!(first.starts_with(b"%PDF-1.7"));
    assert!(first == written(), "a PDF has the clock or chance in it");
    assert_eq!(html(&long(100)), html(&long(100)));
    assert_eq!(long(1).file_name("pdf"), "statement-2026-07-01-2026-07-31-acct_01k3.pdf");
}

#[test]
fn a_statement_without_movements_says_so() {
    let quiet = Statement { lines: Vec::new(), closing: eur(100_00), ..statement(Language::French) };
    assert!(html(&quiet).contains("Aucun mouvement pendant cette période."));
    assert!(texts(&sheets(&quiet)[0]).contains(&"Aucun mouvement pendant cette période."));
}

use std::io::{Cursor, Read as _};

use calamine::{Data, Reader as _};
use jiff::civil::date;
use partita_provider::Currency;
use proptest::prelude::*;

use super::*;

const COLUMNS: [Column; 5] = [
    Column::new("id", Kind::Text),
    Column::new("amount", Kind::Amount),
    Column::new("count", Kind::Integer),
    Column::new("day", Kind::Date),
    Column::new("booked_at", Kind::Time),
];

fn money(minor: i64, code: &str) -> Money {
    Money::new(minor, Currency::parse(code).expect("a known code"))
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn row(text: &str, amount: Money) -> [Cell<'_>; 5] {
    let booked_at = Cell::Time(time("2026-07-01T12:34:56Z"));
    [Cell::Text(text), Cell::Amount(amount), Cell::Integer(-3), Cell::Date(date(2026, 7, 1)), booked_at]
}

fn write(mut writer: Box<dyn TableWriter + '_>, rows: &[[Cell<'_>; 5]]) -> Result<ControlTotals, Error> {
    for row in rows {
        writer.row(row)?;
    }
    writer.finish()
}

fn csv(rows: &[[Cell<'_>; 5]]) -> Result<(String, ControlTotals), Error> {
    let mut bytes = Vec::new();
    let totals = write(Box::new(Csv::try_new(&mut bytes, &COLUMNS)?), rows)?;
    Ok((String::from_utf8(bytes).expect("CSV is UTF-8"), totals))
}

fn json(rows: &[[Cell<'_>; 5]]) -> Result<(String, ControlTotals), Error> {
    let mut bytes = Vec::new();
    let totals = write(Box::new(Json::try_new(&mut bytes, &COLUMNS)?), rows)?;
    Ok((String::from_utf8(bytes).expect("JSON is UTF-8"), totals))
}

fn xlsx(rows: &[[Cell<'_>; 5]]) -> Result<(Vec<u8>, ControlTotals), Error> {
    let mut file = Cursor::new(Vec::new());
    let writer = Xlsx::try_new(&mut file, "Journal", time("2026-08-01T06:00:00Z"), &COLUMNS)?;
    let totals = write(Box::new(writer), rows)?;
    Ok((file.into_inner(), totals))
}

fn cells(bytes: Vec<u8>) -> Vec<Vec<Data>> {
    let mut book = calamine::Xlsx::new(Cursor::new(bytes)).expect("it is an XLSX");
    let range = book.worksheet_range("Journal").expect("the sheet has its name");
    range.rows().map(<[Data]>::to_vec).collect()
}

#[test]
fn csv_is_as_worked_out_by_hand() {
    let rows = [
        row("Müller, \"Söhne\"", money(-1_234_50, "EUR")),
        row("line\nbreak", money(5, "KWD")),
        [Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty],
    ];
    let (text, totals) = csv(&rows).expect("lawful rows");
    let expected = "id,amount,count,day,booked_at\r\n\
                    \"Müller, \"\"Söhne\"\"\",-1234.50,-3,2026-07-01,2026-07-01T12:34:56Z\r\n\
                    \"line\nbreak\",0.005,-3,2026-07-01,2026-07-01T12:34:56Z\r\n,,,,\r\n";
    assert_eq!(text, expected);
    assert_eq!(totals.rows, 3);
}

#[test]
fn a_text_that_a_spreadsheet_would_calculate_is_made_one_that_it_shows() {
    for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", " =1", "'quoted", "＝1"] {
        let (written, _) = csv(&[row(text, money(1, "EUR"))]).expect("a lawful row");
        let mut reader = csv::Reader::from_reader(written.as_bytes());
        let record = reader.records().next().expect("a row").expect("it is read");
        assert_eq!(record[0], format!("'{text}"));
    }
    let (harmless, _) = csv(&[row("a=b-c@d", money(-1, "EUR"))]).expect("a lawful row");
    assert!(harmless.contains("\r\na=b-c@d,-0.01,"), "amounts and texts within are left alone");
}

#[test]
fn json_has_money_as_the_interface_has_it() {
    let (text, totals) =
        json(&[row("a\u{1}", money(-1_234_50, "EUR")), row("b", money(7, "JPY"))]).expect("lawful rows");
    let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(read["columns"], serde_json::json!(["id", "amount", "count", "day", "booked_at"]));
    let first = serde_json::json!({
        "id": "a\u{1}", "amount": {"amount": -123_450, "currency": "EUR"}, "count": -3, "day": "2026-07-01",
        "booked_at": "2026-07-01T12:34:56Z",
    });
    assert_eq!(read["rows"][0], first);
    assert_eq!(read["control_totals"], serde_json::to_value(&totals).expect("totals are JSON"));
    assert_eq!(text.lines().count(), 6, "a row a line");
    let (empty, _) = json(&[]).expect("no rows are lawful");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&empty).expect("it is JSON")["rows"], serde_json::json!([]));
}

#[test]
fn a_spreadsheet_has_numbers_as_numbers_and_days_as_days() {
    let rows = [row("=1+1", money(-1_234_50, "EUR")), row("b", money(1_005, "KWD")), row("c", money(7, "JPY"))];
    let (bytes, totals) = xlsx(&rows).expect("lawful rows");
    let read = cells(bytes);
    assert_eq!(read[0][1], Data::String("amount".to_owned()));
    assert_eq!(read[1][0], Data::String("=1+1".to_owned()), "a text, not a formula");
    let numbers: Vec<_> = read[1..].iter().map(|row| row[1].clone()).collect();
    assert_eq!(numbers, [Data::Float(-1234.5), Data::Float(1.005), Data::Float(7.0)]);
    let days = |cell: &Data| match cell {
        Data::DateTime(time) => time.as_f64().to_string(),
        other => panic!("{other:?} is no time"),
    };
    // 1 July 2026 is 181 days after 1 January, which is day 46023.
    assert_eq!(days(&read[1][3]), "46204");
    assert!(days(&read[1][4]).starts_with("46204.52425"), "12:34:56 is 45,296 of 86,400 seconds");
    assert_eq!(totals.sums.len(), 3);
}

/// The number format of a cell, for those that are numbers.
fn number_format(file: &[u8], cell: &str) -> String {
    let part = |name: &str| {
        let mut text = String::new();
        let mut parts = zip::ZipArchive::new(Cursor::new(file)).expect("it is a ZIP");
        parts.by_name(name).expect("it has the part").read_to_string(&mut text).expect("XML is UTF-8");
        text
    };
    let between = |text: &str, start: &str, end: &str| {
        let (_, after) = text.split_once(start).unwrap_or_else(|| panic!("{start} is not in {text}"));
        after.split_once(end).expect("it ends").0.to_owned()
    };
    let (page, styles) = (part("xl/worksheets/sheet1.xml"), part("xl/styles.xml"));
    let style: usize = between(&page, &format!("<c r=\"{cell}\" s=\""), "\"").parse().expect("a place");
    let cell_formats = between(&styles, "<cellXfs", "</cellXfs>");
    let cell_format = cell_formats.split("<xf ").nth(style + 1).expect("the style is defined");
    match between(cell_format, "numFmtId=\"", "\"").as_str() {
        // Those that every spreadsheet knows without being told.
        "3" => "#,##0".to_owned(),
        "4" => "#,##0.00".to_owned(),
        own => between(&styles, &format!("<numFmt numFmtId=\"{own}\" formatCode=\""), "\""),
    }
}

#[test]
fn a_spreadsheet_shows_as_many_decimals_as_the_currency_has() {
    let rows = [row("a", money(1_50, "EUR")), row("b", money(7, "JPY")), row("c", money(1_005, "KWD"))];
    let (bytes, _) = xlsx(&rows).expect("lawful rows");
    let formats = ["B2", "B3", "B4"].map(|cell| number_format(&bytes, cell));
    assert_eq!(formats, ["#,##0.00", "#,##0", "#,##0.000"]);
}

#[test]
fn what_a_spreadsheet_would_round_is_refused() {
    let most = xlsx(&[row("a", money(999_999_999_999_999, "EUR"))]).expect("15 digits");
    assert_eq!(cells(most.0)[1][1], Data::Float(9_999_999_999_999.99));
    let refused = xlsx(&[row("a", money(1, "EUR")), row("b", money(-1_000_000_000_000_000, "EUR"))]);
    let refused = refused.expect_err("16 digits").to_string();
    assert_eq!(refused, "row 2, amount: has more than the 15 digits that a spreadsheet counts exactly");
    let long = "x".repeat(32_768);
    assert!(matches!(xlsx(&[row(&long, money(1, "EUR"))]), Err(Error::Field { row: 1, field: "id", .. })));
}

#[test]
fn a_row_that_does_not_fit_its_columns_is_refused_with_its_number() {
    let mut writer = Csv::try_new(Vec::new(), &COLUMNS).expect("memory is written");
    writer.row(&row("a", money(1, "EUR"))).expect("a lawful row");
    let short = writer.row(&[Cell::Empty]).expect_err("too few cells");
    assert_eq!(short.to_string(), "row 2 has 1 cells, there are 5 columns");
    let mut wrong = row("a", money(1, "EUR"));
    wrong[1] = Cell::Integer(1);
    let wrong = writer.row(&wrong).expect_err("a number is no money").to_string();
    assert_eq!(wrong, "row 3, amount: Integer(1) in a column of Amount");
}

#[test]
fn totals_are_by_column_and_currency() {
    let rows = [row("a", money(1_00, "EUR")), row("b", money(-30, "EUR")), row("c", money(5, "USD"))];
    let (_, totals) = csv(&rows).expect("lawful rows");
    let sums: Vec<_> = totals.sums.iter().map(|sum| (sum.currency.code(), sum.count, sum.total.as_str())).collect();
    assert_eq!(sums, [("EUR", 2, "0.70"), ("USD", 1, "0.05")]);
    let huge = [row("a", money(i64::MAX, "EUR")), row("b", money(i64::MAX, "EUR"))];
    let (_, totals) = csv(&huge).expect("sums have 128 bits");
    assert_eq!(totals.sums[0].total, "184467440737095516.14");
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let rows = [row("a", money(1_00, "EUR")), row("b", money(-30, "JPY"))];
    let (first, second) = (xlsx(&rows).expect("lawful rows").0, xlsx(&rows).expect("lawful rows").0);
    assert!(first == second, "a spreadsheet has the clock in it");
    assert_eq!(csv(&rows).expect("lawful rows"), csv(&rows).expect("lawful rows"));
    assert_eq!(json(&rows).expect("lawful rows"), json(&rows).expect("lawful rows"));
}

fn any_rows() -> impl Strategy<Value = Vec<(String, i64, usize)>> {
    let text = prop_oneof!["[=+@'-]?[ -~À-ž\u{4e00}-\u{4e20}\r\n\t\"]{0,20}", ".{0,20}"];
    proptest::collection::vec((text, -999_999_999_999_999..=999_999_999_999_999_i64, 0..3_usize), 0..12)
}

const CODES: [&str; 3] = ["EUR", "JPY", "KWD"];

proptest! {
    #[test]
    fn what_csv_was_given_is_read_back(given in any_rows()) {
        let rows: Vec<_> = given.iter().map(|(text, minor, code)| row(text, money(*minor, CODES[*code]))).collect();
        let (text, totals) = csv(&rows).expect("lawful rows");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let read: Vec<_> = reader.records().map(|record| record.expect("it is read")).collect();
        prop_assert_eq!(read.len(), given.len());
        prop_assert_eq!(totals.rows, u64::try_from(given.len()).expect("few"));
        for (record, (text, minor, code)) in read.iter().zip(&given) {
            prop_assert_eq!(record[0].strip_prefix('\'').unwrap_or(&record[0]), text);
            let decimals = record[1].split_once('.').map_or(0, |(_, part)| part.len());
            prop_assert_eq!(decimals, [2, 0, 3][*code]);
            prop_assert_eq!(record[1].replace('.', "").parse::<i64>().expect("digits"), *minor);
        }
    }

    #[test]
    fn what_json_was_given_is_read_back(given in any_rows()) {
        let rows: Vec<_> = given.iter().map(|(text, minor, code)| row(text, money(*minor, CODES[*code]))).collect();
        let (text, _) = json(&rows).expect("lawful rows");
        let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let read = read["rows"].as_array().expect("rows are a list").clone();
        prop_assert_eq!(read.len(), given.len());
        for (read, (text, minor, code)) in read.iter().zip(&given) {
            prop_assert_eq!(read["id"].as_str().expect("a text"), text);
            prop_assert_eq!(read["amount"]["amount"].as_i64().expect("a number"), *minor);
            prop_assert_eq!(read["amount"]["currency"].as_str().expect("a code"), CODES[*code]);
        }
    }

    #[test]
    fn a_spreadsheet_shows_every_amount_to_the_cent(given in proptest::collection::vec(
        (-999_999_999_999_999..=999_999_999_999_999_i64, 0..3_usize), 1..6)
    ) {
        let rows: Vec<_> = given.iter().map(|(minor, code)| row("x", money(*minor, CODES[*code]))).collect();
        let (bytes, _) = xlsx(&rows).expect("lawful rows");
        for (read, (minor, code)) in cells(bytes)[1..].iter().zip(&given) {
            let Data::Float(number) = read[1] else { panic!("{:?} is no number", read[1]) };
            let shown = format!("{number:.0$}", [2, 0, 3][*code]).replace('.', "");
            prop_assert_eq!(shown.parse::<i64>().expect("digits"), *minor);
        }
    }
}

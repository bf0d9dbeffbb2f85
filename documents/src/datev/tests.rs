use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("EUR is current"))
}

fn batch() -> Batch {
    Batch {
        consultant: 29_098,
        client: 55_003,
        fiscal_year: date(2024, 1, 1),
        account_digits: 4,
        from: date(2024, 8, 1),
        to: date(2024, 8, 31),
        name: "Buchungsstapel".to_owned(),
        made_at: "2024-01-30T14:04:40.439Z".parse().expect("a timestamp"),
        currency: Currency::parse("EUR").expect("EUR is current"),
        fixed: false,
    }
}

fn booking() -> Booking<'static> {
    Booking {
        account: 1200,
        contra_account: 70_001,
        amount: eur(1_234_56),
        date: date(2024, 8, 5),
        document: "txn_01k3",
        text: "Größe \"M\"; Łódź",
    }
}

fn written(batch: Batch, bookings: &[Booking<'_>]) -> Result<(Vec<u8>, ControlTotals), Error> {
    let mut bytes = Vec::new();
    let mut datev = Datev::try_new(&mut bytes, batch)?;
    for booking in bookings {
        datev.booking(booking)?;
    }
    let totals = datev.finish()?;
    Ok((bytes, totals))
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let text = ansi_text(bytes);
    text.strip_suffix("\r\n").expect("lines end by CRLF").split("\r\n").map(str::to_owned).collect()
}

fn ansi_text(bytes: &[u8]) -> String {
    encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()
}

#[test]
fn the_header_is_that_of_datevs_own_sample() {
    // From EXTF_Buchungsstapel.csv of the sample data on DATEV's developer portal, without its dictation mark and chart.
    let sample = "\"EXTF\";700;21;\"Buchungsstapel\";13;20240130140440439;;\"RE\";\"\";\"\";29098;55003;20240101;4;\
                  20240801;20240831;\"Buchungsstapel\";\"\";1;0;0;\"EUR\";;\"\";;;\"\";;;\"\";\"\"";
    let header = batch().header();
    assert_eq!(header, sample);
    assert_eq!(header.split(';').count(), 31);
    assert_eq!(batch().file_name(), "EXTF_Buchungsstapel_202408_29098_55003.csv");
}

#[test]
fn columns_stand_where_datev_has_them() {
    let names = columns::names();
    assert_eq!(names.len(), columns::COUNT);
    let at = |place: usize| names[place].as_str();
    assert_eq!([at(columns::ACCOUNT), at(columns::CONTRA_ACCOUNT)], ["Konto", "Gegenkonto (ohne BU-Schlüssel)"]);
    assert_eq!(
        [at(columns::DATE), at(columns::DOCUMENT), at(columns::TEXT)],
        ["Belegdatum", "Belegfeld 1", "Buchungstext"]
    );
    assert_eq!(
        [at(36), at(47), at(columns::FIXED)],
        ["KOST1 - Kostenstelle", "Zusatzinformation - Art 1", "Festschreibung"]
    );
}

#[test]
fn a_booking_is_positive_with_its_side_and_the_totals_count_both() {
    let credit = Booking { amount: eur(-7_05), text: "Storno", ..booking() };
    let (bytes, totals) = written(batch(), &[booking(), credit]).expect("a lawful batch");
    let lines = lines(&bytes);
    assert_eq!(lines.len(), 4);
    let tail = ";".repeat(100);
    let debit = "1234,56;\"S\";\"EUR\";;;;1200;70001;;0508;\"txn_01k3\";;;\"Größe \"\"M\"\"; Lódz\"";
    assert_eq!(lines[2], format!("{debit}{tail}0{}", ";".repeat(11)));
    assert!(lines[3].starts_with("7,05;\"H\";\"EUR\""));
    assert!(bytes.windows(4).any(|four| four == b"Gr\xf6\xdf"), "umlauts are one byte");
    let sums: Vec<_> = totals.sums.iter().map(|sum| (sum.column, sum.count, sum.total.as_str())).collect();
    assert_eq!((totals.rows, sums), (2, vec![("S", 1, "1234.56"), ("H", 1, "7.05")]));
}

#[test]
fn what_windows_1252_has_not_is_spelled_or_refused_with_its_row() {
    let text = Booking { text: "Škoda – Żabka €", ..booking() };
    let (bytes, _) = written(batch(), &[text]).expect("a lawful batch");
    assert!(ansi_text(&bytes).contains("\"Škoda – Zabka €\""));
    let cyrillic = Booking { text: "Иван", ..booking() };
    let refused = written(batch(), &[booking(), cyrillic]).expect_err("it has no Cyrillic");
    assert_eq!(refused.to_string(), "row 2, Buchungstext: cannot be written with the character 'И'");
}

#[test]
fn a_long_text_is_cut_at_sixty_characters_of_text_not_of_quotes() {
    let long = "\"".repeat(70);
    let (bytes, _) = written(batch(), &[Booking { text: &long, ..booking() }]).expect("a lawful batch");
    assert!(ansi_text(&bytes).contains(&format!(";\"{}\";", "\"".repeat(120))));
}

#[test]
fn a_booking_that_datev_would_refuse_is_refused_by_its_field() {
    let usd = Money::new(1, Currency::parse("USD").expect("USD is current"));
    let cases = [
        (Booking { amount: eur(0), ..booking() }, "row 1, Umsatz: is zero"),
        (Booking { amount: eur(10_000_000_000_00), ..booking() }, "row 1, Umsatz: has more than ten digits"),
        (Booking { amount: usd, ..booking() }, "row 1, WKZ Umsatz: USD in a document of EUR"),
        (Booking { account: 0, ..booking() }, "row 1, Konto: "),
        (Booking { contra_account: 100_000, ..booking() }, "row 1, Gegenkonto: has more digits"),
        (Booking { contra_account: 1200, ..booking() }, "row 1, Gegenkonto: is the account itself"),
        (Booking { date: date(2024, 9, 1), ..booking() }, "row 1, Belegdatum: "),
        (Booking { document: "a;b", ..booking() }, "row 1, Belegfeld 1: "),
        (Booking { document: "1234567890123456789012345678901234567", ..booking() }, "row 1, Belegfeld 1: "),
    ];
    for (booking, expected) in cases {
        let refused = written(batch(), &[booking]).expect_err(expected).to_string();
        assert!(refused.starts_with(expected), "{refused} is not {expected}");
    }
    let most = Booking { amount: eur(9_999_999_999_99), ..booking() };
    assert!(written(batch(), &[most]).is_ok());
}

#[test]
fn a_header_that_datev_would_refuse_is_refused_by_its_field() {
    let cases = [
        (Batch { consultant: 1000, ..batch() }, "Beraternummer"),
        (Batch { client: 100_000, ..batch() }, "Mandantennummer"),
        (Batch { account_digits: 9, ..batch() }, "Sachkontenlänge"),
        (Batch { to: date(2024, 9, 30), ..batch() }, "Datum bis: is in another month"),
        (Batch { to: date(2024, 7, 31), ..batch() }, "Datum bis: is before the first day"),
        (Batch { fiscal_year: date(2024, 8, 2), ..batch() }, "Datum von"),
        (Batch { fiscal_year: date(2023, 8, 1), ..batch() }, "Datum bis: is after the fiscal year"),
        (Batch { name: "a;b".to_owned(), ..batch() }, "Bezeichnung"),
        (Batch { currency: Currency::parse("JPY").expect("JPY is current"), ..batch() }, "WKZ"),
    ];
    for (batch, expected) in cases {
        let refused = written(batch, &[]).expect_err(expected).to_string();
        assert!(refused.starts_with(&format!("row 0, {expected}")), "{refused} is not {expected}");
    }
    let next_year = Batch { fiscal_year: date(2023, 9, 1), ..batch() };
    assert!(written(next_year, &[]).is_ok(), "a fiscal year may begin in any month");
}

#[test]
fn a_file_takes_as_many_bookings_as_datev_reads() {
    let mut datev = Datev::try_new(std::io::sink(), batch()).expect("a lawful batch");
    for _ in 0..MOST_BOOKINGS {
        datev.booking(&booking()).expect("a lawful booking");
    }
    let refused = datev.booking(&booking()).expect_err("one too many");
    assert!(matches!(refused, Error::TooManyRows { row: 100_000, limit: MOST_BOOKINGS }));
}

/// The fields of a line as RFC 4180 reads them with semicolons.
fn fields(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').has_headers(false).from_reader(line.as_bytes());
    let record = reader.records().next().expect("a line").expect("it is read");
    record.iter().map(str::to_owned).collect()
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(minor in -MOST_SIGNED..=MOST_SIGNED, day in 1_i8..=31, text in "[ -~À-ÿ]{0,60}") {
        prop_assume!(minor != 0);
        let it = Booking { amount: eur(minor), date: date(2024, 8, day), text: &text, ..booking() };
        let (bytes, _) = written(batch(), &[it]).expect("a lawful booking");
        let read = fields(&lines(&bytes)[2]);
        prop_assert_eq!(read.len(), columns::COUNT);
        let sign = if read[columns::SIDE] == "S" { 1 } else { -1 };
        let size: i64 = read[columns::AMOUNT].replace(',', "").parse().expect("digits");
        prop_assert_eq!(sign * size, minor);
        prop_assert_eq!(&read[columns::DATE], &format!("{day:02}08"));
        prop_assert_eq!(&read[columns::TEXT], &text);
    }
}

const MOST_SIGNED: i64 = 9_999_999_999_99;

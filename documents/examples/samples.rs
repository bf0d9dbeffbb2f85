//! Writes a sample of every format to a folder, to be opened by other programs: `samples FOLDER`.
//!
//! `.ci/documents/check.py` knows what stands in them.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::{Date, date};
use partita_documents::chart::{Ageing, Bucket, Caption, Lines, Series, Step, Waterfall};
use partita_documents::manifest::{Content, Manifest};
use partita_documents::statement::{Held, Line, LineKind, Party, Statement};
use partita_documents::table::{Cell, Column, Csv, Json, Kind, TableWriter, Xlsx};
use partita_documents::{ControlTotals, Language, camt053, datev, dpi};
use partita_provider::{Currency, Money};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A mark with transparency.
const LOGO: &[u8] = include_bytes!("logo.png");

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).ok_or("samples FOLDER")?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    tables(folder)?;
    journal(folder)?;
    bank_statement(folder)?;
    sellers(folder)?;
    for (language, name) in [(Language::German, "de"), (Language::French, "fr"), (Language::English, "en")] {
        let statement = statement(language, 12);
        statement.write_html(create(folder, &format!("statement-{name}.html"))?)?;
        statement.write_pdf(create(folder, &format!("statement-{name}.pdf"))?)?;
    }
    let long = statement(Language::German, 200);
    long.write_html(create(folder, "statement-long.html")?)?;
    long.write_pdf(create(folder, "statement-long.pdf")?)?;
    charts(folder)
}

fn create(folder: &Path, name: &str) -> Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(folder.join(name))?))
}

fn money(minor: i64, code: &str) -> Money {
    Money::new(minor, Currency::parse(code).expect("a known code"))
}

fn eur(minor: i64) -> Money {
    money(minor, "EUR")
}

fn position_at() -> Timestamp {
    "2026-08-01T06:00:00Z".parse().expect("a timestamp")
}

fn day(number: usize) -> Date {
    date(2026, 7, 1).checked_add(jiff::Span::new().days(i64::try_from(number % 31).expect("small"))).expect("in July")
}

fn tables(folder: &Path) -> Result<()> {
    let columns = [
        Column::new("transaction", Kind::Text),
        Column::new("booked_at", Kind::Time),
        Column::new("effective_on", Kind::Date),
        Column::new("text", Kind::Text),
        Column::new("number", Kind::Integer),
        Column::new("amount", Kind::Amount),
        Column::new("currency", Kind::Text),
    ];
    let csv = Box::new(Csv::try_new(create(folder, "journal.csv")?, &columns)?);
    manifest(folder, "csv", write_rows(csv)?)?;
    write_rows(Box::new(Json::try_new(create(folder, "journal.json")?, &columns)?))?;
    let xlsx = Xlsx::try_new(create(folder, "journal.xlsx")?, "Journal", position_at(), &columns)?;
    write_rows(Box::new(xlsx))?;
    Ok(())
}

fn write_rows(mut table: Box<dyn TableWriter + '_>) -> Result<ControlTotals> {
    let texts = ["Verkauf, \"Größe M\"", "=HYPERLINK(\"http://example.org\")", "zwei\nZeilen", "Łódź – 東京"];
    for number in 0..100_usize {
        let id = format!("txn_{number:03}");
        let count = i64::try_from(number)?;
        let (minor, code) = [(count * 1_01 - 50_00, "EUR"), (count * 7, "JPY"), (count * 1_005, "KWD")][number % 3];
        table.row(&[
            Cell::Text(&id),
            Cell::Time(position_at()),
            Cell::Date(day(number)),
            Cell::Text(texts[number % 4]),
            Cell::Integer(count),
            Cell::Amount(money(minor, code)),
            Cell::Text(code),
        ])?;
    }
    Ok(table.finish()?)
}

fn manifest(folder: &Path, format: &str, control_totals: ControlTotals) -> Result<()> {
    let file = format!("journal.{format}");
    let content = Content::of(File::open(folder.join(&file))?)?;
    let manifest = Manifest {
        run_id: "run_1".to_owned(),
        report: "journal".to_owned(),
        file,
        format: format.to_owned(),
        book: "book_1".to_owned(),
        from: date(2026, 7, 1),
        to: date(2026, 7, 31),
        timezone: "Europe/Berlin".to_owned(),
        generated_at: position_at(),
        position: "1:4711".to_owned(),
        content,
        control_totals,
    };
    Ok(manifest.write(create(folder, "journal.csv.manifest.json")?)?)
}

fn journal(folder: &Path) -> Result<()> {
    let batch = datev::Batch {
        consultant: 29_098,
        client: 55_003,
        fiscal_year: date(2026, 1, 1),
        account_digits: 4,
        from: date(2026, 7, 1),
        to: date(2026, 7, 31),
        name: "Marktplatz 07/2026".to_owned(),
        made_at: position_at(),
        currency: Currency::parse("EUR")?,
        fixed: false,
    };
    let mut datev = datev::Datev::try_new(create(folder, &batch.file_name())?, batch)?;
    for number in 0..50_usize {
        let count = i64::try_from(number)?;
        datev.booking(&datev::Booking {
            account: 1360,
            contra_account: 70_001 + u32::try_from(number)?,
            amount: eur((count * 13_37 + 1) * if number % 5 == 4 { -1 } else { 1 }),
            date: day(number),
            document: &format!("txn_{number:03}"),
            text: "Verkauf \"Größe M\"; Łódź – Škoda €",
        })?;
    }
    datev.finish()?;
    Ok(())
}

fn bank_statement(folder: &Path) -> Result<()> {
    // 500.00 + 10 × 120.25 − 10 × 100.10 = 701.50
    let statement = camt053::Statement {
        message: "run-1".to_owned(),
        id: "acct-1-2026-07".to_owned(),
        number: 7,
        made_at: position_at(),
        from: date(2026, 7, 1),
        to: date(2026, 7, 31),
        account: camt053::Account {
            id: "acct-01k3".to_owned(),
            owner: "Bäckerei & Söhne".to_owned(),
            servicer: "Marktplatz GmbH".to_owned(),
        },
        opening: eur(500_00),
        closing: eur(701_50),
    };
    let mut camt = camt053::Camt053::try_new(create(folder, "statement.camt053.xml")?, statement)?;
    for number in 0..20_usize {
        let reference = format!("e-{number}");
        camt.entry(&camt053::Entry {
            reference: &reference,
            amount: if number % 2 == 0 { eur(120_25) } else { eur(-100_10) },
            booked_on: day(number),
            value_on: day(number),
            kind: if number % 2 == 0 { "sale" } else { "payout" },
            end_to_end: Some(&reference),
            remittance: Some("Bestellung <7> & mehr"),
        })?;
    }
    camt.finish()?;
    Ok(())
}

fn sellers(folder: &Path) -> Result<()> {
    let address = |city: &str| dpi::Address {
        country: "DE".to_owned(),
        street: Some("Marktstraße 1".to_owned()),
        post_code: Some("10115".to_owned()),
        city: city.to_owned(),
    };
    let tin = |number: &str| dpi::Tin { number: number.to_owned(), issued_by: "DE".to_owned() };
    let message = dpi::Message {
        purpose: dpi::Purpose::Test,
        transmitting_country: "DE".to_owned(),
        receiving_country: "DE".to_owned(),
        reference: "DE2026DE-run-1".to_owned(),
        year: 2026,
        made_at: position_at(),
        operator: dpi::Operator {
            reference: "DE-operator-1".to_owned(),
            country: "DE".to_owned(),
            tin: tin("11/222/33333"),
            vat: Some("DE123456789".to_owned()),
            name: "Markt & Platz GmbH".to_owned(),
            platform: Some("Marktplatz".to_owned()),
            address: address("Berlin"),
            nexus: Some(dpi::Nexus::Resident),
        },
    };
    let quarter = |count: i64| dpi::Quarter {
        consideration: eur(count * 1_000_50),
        activities: u32::try_from(count).expect("small"),
        fees: eur(count * 100_49),
        taxes: eur(0),
    };
    let company = dpi::Identity::Entity {
        country: "DE".to_owned(),
        tin: Some(tin("44/555/66666")),
        registration: Some("HRB 1".to_owned()),
        vat: None,
        name: "Bäckerei & Söhne OHG".to_owned(),
        address: address("Köln"),
    };
    let person = dpi::Identity::Individual {
        country: "DE".to_owned(),
        tin: None,
        vat: None,
        first_name: "Zoë".to_owned(),
        last_name: "Nowak".to_owned(),
        address: address("Berlin"),
        birth: dpi::Birth { date: date(1980, 2, 29), place: Some(("Łódź".to_owned(), "PL".to_owned())) },
    };
    let mut dpi = dpi::Dpi::try_new(create(folder, "sellers.dpi.xml")?, message)?;
    for (identity, number) in [company, person].into_iter().zip(1..) {
        dpi.seller(&dpi::Seller {
            reference: format!("DE-seller-{number}"),
            identity,
            account: Some(("DE02120300000000202051".to_owned(), None)),
            activity: dpi::Activity::SaleOfGoods,
            quarters: [quarter(number), quarter(0), quarter(number + 1), quarter(number + 2)],
        })?;
    }
    dpi.finish()?;
    Ok(())
}

fn statement(language: Language, count: usize) -> Statement {
    let party = |name: &str| Party {
        name: name.to_owned(),
        address: ["Marktstraße 1", "10115 Berlin", "Deutschland"].map(str::to_owned).to_vec(),
    };
    let kinds = [
        (LineKind::Sale, 1_234_56, "Bestellung 2026-0815, Größe M"),
        (LineKind::Commission, -123_46, "10 %"),
        (LineKind::Vat, -23_46, "19 %"),
        (LineKind::Refund, -50_00, "Donaudampfschifffahrtsgesellschaftskapitänsmützenständer, beschädigt angekommen"),
        (LineKind::Reserve, -100_00, "10 % bis 2026-10-01"),
        (LineKind::Payout, -500_00, "Łódź Ødegård Ñandú Ünal Čapek"),
    ];
    let lines = (0..count).map(|number| {
        let (kind, minor, text) = kinds[number % kinds.len()];
        Line {
            date: day(number * 31 / count),
            kind,
            reference: format!("pay_01k3v7y0c4e8x9r2m5q6t7{number:04}"),
            text: Some(text.to_owned()),
            amount: eur(minor),
        }
    });
    let lines: Vec<_> = lines.collect();
    let moved: i64 = lines.iter().map(|line| line.amount.minor).sum();
    Statement {
        language,
        platform: party("Marktplatz für besondere Dinge GmbH & Co. KG"),
        logo_png: Some(LOGO.to_vec()),
        seller: party("Bäckerei Müller-Lüdenscheidt & Söhne, Inhaberin Anna-Katharina von und zu Hohenstein-Großkreuz"),
        seller_id: "acct_01k3v7y0c4e8x9r2m5q6t7w8za".to_owned(),
        from: date(2026, 7, 1),
        to: date(2026, 7, 31),
        timezone: "Europe/Berlin".to_owned(),
        position: "1:4711,2:815".to_owned(),
        position_at: position_at(),
        opening: eur(100_00),
        closing: eur(100_00 + moved),
        lines,
        held: vec![Held { reason: "Sicherheitseinbehalt bis 2026-10-01".to_owned(), amount: eur(100_00) }],
    }
}

fn charts(folder: &Path) -> Result<()> {
    let caption = |id: &str, title: &str, description: &str| Caption {
        id: id.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        language: Language::German,
    };
    let step = |name: &str, minor| Step { name: name.to_owned(), amount: eur(minor) };
    let waterfall = Waterfall {
        caption: caption(
            "roll",
            "Saldo der Verkäufer, Juli 2026",
            "Von 12.000,00 auf 9.500,00: ausgezahlt wurde mehr als verkauft.",
        ),
        opening: step("Anfangssaldo", 12_000_00),
        steps: vec![
            step("Verkäufe", 48_000_00),
            step("Erstattungen", -2_500_00),
            step("Zahlungsanfechtungen", -300_00),
            step("Provision und Umsatzsteuer auf Provision", -5_700_00),
            step("Auszahlungen", -42_000_00),
        ],
        closing: step("Endsaldo", 9_500_00),
    };
    let bucket = |name: &str, count, minor| Bucket { name: name.to_owned(), count, amount: eur(minor) };
    let ageing = Ageing {
        caption: caption("ageing", "Offene Abweichungen nach Alter", "Die meisten sind keinen Tag alt."),
        buckets: vec![
            bucket("0–1 Tage", 120, 48_000_00),
            bucket("2–3 Tage", 14, 5_200_00),
            bucket("4–7 Tage", 3, 410_00),
            bucket("8–30 Tage", 2, 90_50),
            bucket("31–60 Tage", 0, 0),
            bucket("61–90 Tage", 1, 12_00),
            bucket("> 90 Tage", 1, 3),
        ],
    };
    let months = ["Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."];
    let series = |name: &str, of: fn(i64) -> i64| Series {
        name: name.to_owned(),
        amounts: (0..12).map(|month| eur(of(month))).collect(),
    };
    let lines = Lines {
        caption: caption("fees", "Gebühren und Marge 2026", "Beide steigen; die Marge war im Januar unter null."),
        points: months.map(str::to_owned).to_vec(),
        series: vec![
            series("Provision", |month| 4_000_00 + month * 350_00),
            series("Kosten des Zahlungsdienstes", |month| 4_200_00 + month * 90_00 - month % 3 * 200_00),
            series("Marge", |month| month * 260_00 - 200_00 + month % 3 * 200_00),
        ],
    };
    for (chart, name) in [(waterfall.draw()?, "waterfall"), (ageing.draw()?, "ageing"), (lines.draw()?, "lines")] {
        fs::write(folder.join(format!("{name}.svg")), chart.svg)?;
        fs::write(folder.join(format!("{name}.html")), chart.figure)?;
    }
    Ok(())
}

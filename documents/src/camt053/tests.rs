use jiff::civil::date;
use proptest::prelude::*;
use quick_xml::events::Event;

use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("EUR is current"))
}

fn statement(opening: i64, closing: i64) -> Statement {
    Statement {
        message: "run-1".to_owned(),
        id: "2026-07".to_owned(),
        number: 7,
        made_at: "2026-08-01T06:00:00Z".parse().expect("a timestamp"),
        from: date(2026, 7, 1),
        to: date(2026, 7, 31),
        account: Account {
            id: "acct_1".to_owned(),
            owner: "Bäckerei & Söhne".to_owned(),
            servicer: "Marktplatz".to_owned(),
        },
        opening: eur(opening),
        closing: eur(closing),
    }
}

fn entry(minor: i64) -> Entry<'static> {
    Entry {
        reference: "e-1",
        amount: eur(minor),
        booked_on: date(2026, 7, 3),
        value_on: date(2026, 7, 5),
        kind: "payout",
        end_to_end: Some("po-1"),
        remittance: Some("July <1>"),
    }
}

fn written(statement: Statement, entries: &[Entry<'_>]) -> Result<(String, ControlTotals), Error> {
    let mut bytes = Vec::new();
    let mut camt = Camt053::try_new(&mut bytes, statement)?;
    for entry in entries {
        camt.entry(entry)?;
    }
    let totals = camt.finish()?;
    Ok((String::from_utf8(bytes).expect("XML is UTF-8"), totals))
}

#[test]
fn a_statement_is_as_worked_out_by_hand() {
    // 100.00 + 50.25 − 120.00 = 30.25
    let (xml, totals) = written(statement(100_00, 30_25), &[entry(50_25), entry(-120_00)]).expect("it closes");
    let lines: Vec<_> = xml.lines().map(str::trim).collect();
    let flat = lines.concat();
    let opening = "<Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">100.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
                   <Dt><Dt>2026-07-01</Dt></Dt></Bal>";
    let closing = "<Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">30.25</Amt><CdtDbtInd>CRDT</CdtDbtInd>\
                   <Dt><Dt>2026-07-31</Dt></Dt></Bal>";
    let paid = "<Ntry><NtryRef>e-1</NtryRef><Amt Ccy=\"EUR\">120.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>\
                <BookgDt><Dt>2026-07-03</Dt></BookgDt><ValDt><Dt>2026-07-05</Dt></ValDt>\
                <BkTxCd><Prtry><Cd>payout</Cd></Prtry></BkTxCd><NtryDtls><TxDtls>\
                <Refs><EndToEndId>po-1</EndToEndId></Refs><Amt Ccy=\"EUR\">120.00</Amt><CdtDbtInd>DBIT</CdtDbtInd>\
                <RmtInf><Ustrd>July &lt;1&gt;</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>";
    for part in [opening, closing, paid, "<Nm>Bäckerei &amp; Söhne</Nm>", "<CreDtTm>2026-08-01T06:00:00Z</CreDtTm>"] {
        assert!(flat.contains(part), "{part}\nis not in\n{flat}");
    }
    let sums: Vec<_> = totals.sums.iter().map(|sum| (sum.column, sum.total.as_str())).collect();
    assert_eq!(sums, [("CRDT", "50.25"), ("DBIT", "-120.00")]);
}

#[test]
fn a_closing_that_entries_do_not_make_is_refused() {
    let refused = written(statement(100_00, 30_26), &[entry(50_25), entry(-120_00)]).expect_err("a cent is missing");
    assert_eq!(refused.to_string(), "opening and movements make 30.25, the closing says 30.26");
}

#[test]
fn a_fact_that_the_schema_has_not_is_refused_by_its_element() {
    let usd = Money::new(1, Currency::parse("USD").expect("USD is current"));
    let long = "x".repeat(36);
    let cases = [
        (Entry { amount: usd, ..entry(1) }, "row 1, Amt: USD in a document of EUR"),
        (Entry { reference: &long, ..entry(1) }, "row 1, NtryRef: has 36 characters"),
        (Entry { kind: "", ..entry(1) }, "row 1, Cd: has 0 characters"),
        (
            Entry { remittance: Some("a\u{1}"), ..entry(1) },
            "row 1, Ustrd: cannot be written with the character '\\u{1}'",
        ),
        (Entry { booked_on: date(2026, 8, 1), ..entry(1) }, "row 1, BookgDt: "),
        (Entry { amount: eur(i64::MAX), ..entry(1) }, "row 1, Amt: has more than 18 digits"),
    ];
    for (entry, expected) in cases {
        let refused = written(statement(0, 1), &[entry]).expect_err(expected).to_string();
        assert!(refused.starts_with(expected), "{refused} is not {expected}");
    }
    let mixed = Statement { closing: usd, ..statement(0, 1) };
    assert!(matches!(written(mixed, &[]), Err(Error::Currency { row: 0, .. })));
    let backwards = Statement { to: date(2026, 6, 30), ..statement(0, 0) };
    assert!(matches!(written(backwards, &[]), Err(Error::Field { row: 0, field: "FrToDt", .. })));
}

/// The texts of all elements of a name.
fn texts(xml: &str, name: &str) -> Vec<String> {
    let (mut reader, mut found, mut inside) = (quick_xml::Reader::from_str(xml), Vec::new(), false);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) => {
                inside = start.name().into_inner() == name;
                if inside {
                    found.push(String::new());
                }
            }
            Event::Text(text) if inside => {
                found.last_mut().expect("it began").push_str(&text);
            }
            Event::GeneralRef(entity) if inside => {
                let text = quick_xml::escape::resolve_predefined_entity(&entity).expect("one of XML's own");
                found.last_mut().expect("it began").push_str(text);
            }
            Event::End(_) => inside = false,
            Event::Eof => return found,
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(
        amounts in proptest::collection::vec(-1_000_000_00_i64..1_000_000_00, 0..20),
        text in "[ -~À-ž\u{4e00}-\u{4e20}]{1,140}",
    ) {
        let closing: i64 = amounts.iter().sum();
        let entries: Vec<_> = amounts.iter().map(|&minor| Entry { remittance: Some(&text), ..entry(minor) }).collect();
        let (xml, totals) = written(statement(0, closing), &entries).expect("it closes");
        prop_assert_eq!(totals.rows, u64::try_from(amounts.len()).expect("few"));
        // The first two are the balances; each entry has its amount twice.
        let sizes: Vec<i64> = texts(&xml, "Amt").iter().map(|size| size.replace('.', "").parse().expect("digits")).collect();
        let read: Vec<_> = sizes[2..].iter().copied().step_by(2).collect();
        let expected: Vec<_> = amounts.iter().map(|minor| minor.abs()).collect();
        prop_assert_eq!(read, expected);
        prop_assert!(texts(&xml, "Ustrd").iter().all(|read| *read == text));
    }
}

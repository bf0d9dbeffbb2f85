//! Every format's sample, read as a bookkeeper would read it.

use crate::reader::{File, lines_of, refused, whole};
use partita_statements::{Amounts, Format, Given, Mapping, Options, Order, Reason};

fn camt_02() -> File {
    whole(include_str!("samples/camt053_v02.xml"))
}

#[test]
fn camt_statements_have_their_balances_and_signed_entries() {
    let file = camt_02();
    assert_eq!((file.read.format, file.read.statements, file.read.entries), (Format::Camt053, 2, 4));
    let first = &file.statements[0];
    assert_eq!((first.account.as_str(), first.currency.code()), ("DE02120300000000202051", "EUR"));
    assert_eq!((first.id.as_deref(), first.sequence), (Some("S-331"), Some(331)));
    assert_eq!(first.opening.map(|balance| balance.amount), Some(1000_00));
    assert_eq!(first.closing.map(|balance| balance.amount), Some(1275_50));
    assert_eq!((first.credits, first.debits, first.not_booked), (400_50, 125_00, 1));
    let amounts: Vec<i64> = file.entries.iter().map(|entry| entry.amount.minor).collect();
    assert_eq!(amounts, [300_50, 100_00, -120_00, -5_00]);
    let second = &file.statements[1];
    assert_eq!((second.account.as_str(), second.entries), ("4711-JPY", 0));
    assert_eq!(second.closing.map(|balance| balance.amount), Some(-500));
}

#[test]
fn camt_entries_have_dates_references_and_the_other_party() {
    let file = camt_02();
    let payout = &file.entries[0];
    assert_eq!(payout.booked_on.to_string(), "2026-11-27");
    assert_eq!(payout.value_on.map(|date| date.to_string()).as_deref(), Some("2026-11-28"));
    assert_eq!(payout.bank_reference.as_deref(), Some("BANK-0001"));
    assert_eq!(payout.code.as_deref(), Some("PMNT/RCDT/ESCT"));
    let detail = &payout.details[0];
    assert_eq!(detail.end_to_end_id.as_deref(), Some("PO-2026-11"));
    assert_eq!(detail.counterparty.as_deref(), Some("Stripe & Co"));
    assert_eq!(detail.counterparty_account.as_deref(), Some("IE29AIBK93115212345678"));
    assert_eq!(detail.remittance.as_deref(), Some("STRIPE PAYOUT po_1"));
    let returned = &file.entries[1];
    assert_eq!((returned.reversal, returned.booked_on.to_string().as_str()), (true, "2026-11-27"));
    assert_eq!(returned.details[0].return_reason.as_deref(), Some("AC04"));
    assert_eq!(returned.details[0].end_to_end_id, None);
    let batch = &file.entries[2];
    let parts: Vec<_> =
        batch.details.iter().map(|d| (d.amount, d.end_to_end_id.as_deref(), d.counterparty.as_deref())).collect();
    assert_eq!(parts, [(Some(-70_00), Some("B-1"), Some("Anna")), (Some(-50_00), Some("B-2"), Some("Bernd"))]);
    assert_eq!((file.entries[3].info.as_deref(), file.entries[3].details.len()), (Some("Account fee"), 0));
}

#[test]
fn camt_08_has_pages_prefixes_and_parties_one_level_deeper() {
    let file = whole(include_str!("samples/camt053_v08.xml"));
    let statement = &file.statements[0];
    assert_eq!((statement.page, statement.sequence), (Some(1), Some(332)));
    assert_eq!(statement.closing.map(|balance| (balance.amount, balance.intermediate)), Some((1265_50, true)));
    let detail = &file.entries[0].details[0];
    assert_eq!(detail.counterparty.as_deref(), Some("Müller & Söhne"));
    assert_eq!(detail.counterparty_account.as_deref(), Some("DE89370400440532013000"));
    assert_eq!(detail.remittance.as_deref(), Some("RF18539007547034"));
    assert_eq!(detail.amount, Some(-10_00));
}

#[test]
fn mt940_messages_are_read_with_their_structured_purposes() {
    let file = whole(include_str!("samples/mt940.sta"));
    assert_eq!((file.read.format, file.read.statements, file.read.entries), (Format::Mt940, 2, 3));
    let statement = &file.statements[0];
    assert_eq!(
        (statement.account.as_str(), statement.sequence, statement.page),
        ("12030000/0000202051", Some(331), Some(1))
    );
    assert_eq!(statement.opening.map(|b| b.amount).zip(statement.closing.map(|b| b.amount)), Some((1000_00, 1280_50)));
    let payout = &file.entries[0];
    assert_eq!((payout.amount.minor, payout.reversal, payout.line), (300_50, false, 5));
    assert_eq!(
        (payout.booked_on.to_string().as_str(), payout.bank_reference.as_deref()),
        ("2026-11-27", Some("BANK-0001"))
    );
    assert_eq!(payout.code.as_deref(), Some("NTRF/166"));
    assert_eq!(payout.details[0].end_to_end_id.as_deref(), Some("PO-2026-11"));
    assert_eq!(payout.details[0].remittance.as_deref(), Some("STRIPE PAYOUT po_1"));
    assert_eq!(payout.details[0].counterparty.as_deref(), Some("Stripe Payments Europe"));
    let fee = &file.entries[1];
    assert_eq!((fee.amount.minor, fee.details[0].remittance.as_deref()), (-25_00, Some("Account fee for November")));
    let returned = &file.entries[2];
    assert_eq!((returned.amount.minor, returned.reversal), (5_00, true));
    assert_eq!(returned.details[0].return_reason.as_deref(), Some("914"));
}

#[test]
fn mt940_within_the_blocks_of_swift_is_the_same() {
    let plain = include_str!("samples/mt940.sta");
    let framed = format!(
        "{{1:F01BANKDEFFAXXX0000000000}}{{2:O9400000}}{{4:\n{}-}}{{5:{{CHK:0}}}}\n",
        plain.trim_end_matches("-\n")
    );
    let (plain, framed) = (whole(plain), whole(&framed.replace('\n', "\r\n")));
    let contents = |file: &File| file.entries.iter().map(|entry| entry.identity).collect::<Vec<_>>();
    assert_eq!(contents(&plain), contents(&framed));
    assert_eq!(plain.statements[1].fingerprint, framed.statements[1].fingerprint);
}

/// A German bank's CSV.
fn mapping() -> Mapping {
    serde_json::from_str(
        r#"{"encoding": "windows-1252", "delimiter": ";", "skip_lines": 1, "decimal_mark": ",", "thousands_mark": ".",
            "date_format": "%d.%m.%Y", "account": {"fixed": "DE02120300000000202051"}, "currency": {"column": "Währung"},
            "amount": {"signed": {"column": "Betrag"}}, "order": "newest_first", "booked_on": "Buchungstag",
            "value_on": "Wertstellung", "balance": "Saldo", "counterparty": "Name",
            "remittance": ["Verwendungszweck", "Verwendungszweck 2"]}"#,
    )
    .expect("a mapping")
}

const BANK_CSV: &str = "Kontoauszug\nBuchungstag;Wertstellung;Name;Verwendungszweck;Verwendungszweck 2;Betrag;Währung;Saldo\n\
    28.11.2026;28.11.2026;Müller;\"Miete; Dez\";Büro;-1.200,50;EUR;34,50\n\
    27.11.2026;;Stripe;STRIPE;po_1;1.235,00;EUR;1.235,00\n";

fn mapped(mapping: Mapping) -> Options {
    Options { mapping: Some(mapping), ..Options::default() }
}

fn windows_1252(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("a letter of Latin-1")).collect()
}

#[test]
fn csv_is_read_by_its_mapping() {
    let file = File::read(&windows_1252(BANK_CSV), &mapped(mapping())).expect("a file that is right");
    assert_eq!((file.read.format, file.read.entries), (Format::Csv, 2));
    let statement = &file.statements[0];
    assert_eq!((statement.opening.map(|b| b.amount), statement.closing.map(|b| b.amount)), (Some(0), Some(34_50)));
    let rent = &file.entries[0];
    assert_eq!((rent.amount.minor, rent.booked_on.to_string().as_str()), (-1200_50, "2026-11-28"));
    assert_eq!(rent.details[0].remittance.as_deref(), Some("Miete; Dez Büro"));
    assert_eq!(rent.details[0].counterparty.as_deref(), Some("Müller"));
    assert_eq!(file.entries[1].value_on, None);
}

#[test]
fn csv_says_the_side_of_an_amount_in_three_ways() {
    let base = Mapping {
        currency: Given::Fixed("EUR".to_owned()),
        account: Given::Column("account".to_owned()),
        delimiter: ',',
        skip_lines: 0,
        decimal_mark: '.',
        thousands_mark: None,
        encoding: None,
        date_format: "%Y-%m-%d".to_owned(),
        booked_on: "day".to_owned(),
        value_on: None,
        balance: None,
        counterparty: None,
        order: Order::OldestFirst,
        remittance: Vec::new(),
        ..mapping()
    };
    let name = |name: &str| name.to_owned();
    let sided = Amounts::Sided { column: name("amount"), side: name("side"), credit: name("H"), debit: name("S") };
    let split = Amounts::Split { credit: name("in"), debit: name("out") };
    let amounts = |amount: Amounts, text: &str| {
        let options = mapped(Mapping { amount, ..base.clone() });
        let file = File::read(text.as_bytes(), &options).expect("a file that is right");
        file.entries.iter().map(|entry| entry.amount.minor).collect::<Vec<_>>()
    };
    assert_eq!(
        amounts(sided.clone(), "day,account,amount,side\n2026-11-27,A,1.00,H\n2026-11-27,A,2.00,S\n"),
        [1_00, -2_00]
    );
    assert_eq!(amounts(split.clone(), "day,account,in,out\n2026-11-27,A,1.00,\n2026-11-27,B,,2.00\n"), [1_00, -2_00]);
    for (amount, row) in [(sided.clone(), "1.00,X"), (sided, "-1.00,H"), (split.clone(), ","), (split, "1.00,2.00")] {
        let head = if matches!(amount, Amounts::Sided { .. }) { "amount,side" } else { "in,out" };
        let text = format!("day,account,{head}\n2026-11-27,A,{row}\n");
        let refusal = File::read(text.as_bytes(), &mapped(Mapping { amount, ..base.clone() })).expect_err(row);
        assert_eq!(refusal.line, 2, "{row}: {refusal}");
    }
}

#[test]
fn csv_balances_have_to_follow_from_the_rows() {
    let wrong = BANK_CSV.replace("34,50", "35,50");
    let refusal = File::read(&windows_1252(&wrong), &mapped(mapping())).expect_err("a wrong balance");
    assert!(
        matches!(refusal.reason, Reason::Total { what: "the balance", computed: 1236_00, stated: 1235_00 }),
        "{refusal}"
    );
    assert_eq!(refusal.line, 4);
    let short = BANK_CSV.replacen(";EUR;34,50", ";EUR", 1);
    let refusal = File::read(&windows_1252(&short), &mapped(mapping())).expect_err("a row with a column too few");
    assert_eq!(refusal.to_string(), "line 3: the row has 7 columns, the header has 8");
    let older_first = Mapping { order: Order::OldestFirst, ..mapping() };
    assert!(File::read(&windows_1252(BANK_CSV), &mapped(older_first)).is_err());
}

#[test]
fn a_mapping_that_cannot_be_right_is_refused() {
    let wrong = [
        Mapping { decimal_mark: '.', ..mapping() },
        Mapping { date_format: "%d.%m.".to_owned(), ..mapping() },
        Mapping { date_format: "%Q".to_owned(), ..mapping() },
        Mapping { delimiter: 'a', ..mapping() },
        Mapping { delimiter: '"', ..mapping() },
    ];
    for mapping in wrong {
        assert!(matches!(mapping.check(), Err(Reason::Mapping(_))), "{mapping:?}");
    }
    let absent = Mapping { booked_on: "Datum".to_owned(), ..mapping() };
    let refusal = File::read(&windows_1252(BANK_CSV), &mapped(absent)).expect_err("no such column");
    assert_eq!(refusal.to_string(), "line 2: column \"Datum\" is missing");
    assert!(serde_json::from_str::<Mapping>(r#"{"colour": 1}"#).is_err());
}

#[test]
fn paypal_sections_are_statements_by_currency_and_fees_are_taken_off() {
    let file = whole(include_str!("samples/paypal.csv"));
    assert_eq!((file.read.format, file.read.statements, file.read.entries), (Format::PaypalSettlement, 2, 4));
    let found: Vec<_> = file.entries.iter().map(|e| (e.amount.minor, e.fee, e.bank_reference.as_deref())).collect();
    // 100.00 less 3.50; 40.00 back with 1.00 of the fee; 100 yen; the rest withdrawn.
    let expected =
        [(96_50, -3_50, Some("TX1")), (-39_00, 1_00, Some("TX2")), (100, 0, Some("TX3")), (-57_50, 0, Some("TX4"))];
    assert_eq!(found, expected);
    let balances: Vec<_> = file
        .statements
        .iter()
        .map(|s| (s.currency.code(), s.opening.map(|b| b.amount), s.closing.map(|b| b.amount)))
        .collect();
    assert_eq!(balances, [("EUR", Some(20_00), Some(20_00)), ("JPY", Some(0), Some(100))]);
    assert_eq!(file.entries[1].details[0].bank_reference.as_deref(), Some("TX1"));
    assert_eq!(file.entries[1].details[0].end_to_end_id.as_deref(), Some("ORDER-1"));
}

#[test]
fn paypal_totals_and_counts_have_to_be_right() {
    let sample = include_str!("samples/paypal.csv");
    let wrong = [
        ("\"SF\",\"EUR\",10000,9750", "\"SF\",\"EUR\",10001,9750", 9),
        ("\"SF\",\"EUR\",10000,9750,100,350", "\"SF\",\"EUR\",10000,9750,100,351", 9),
        ("\"SF\",\"EUR\",10000,9750,100,350,\"CR\",2000", "\"SF\",\"EUR\",10000,9750,100,350,\"CR\",2001", 9),
        ("\"SC\",4", "\"SC\",5", 11),
        ("\"RF\",\"JPY\",10000", "\"RF\",\"JPY\",20000", 13),
        ("\"RC\",4", "\"RC\",3", 14),
        ("\"FF\",4", "\"FF\",3", 15),
        ("10000,\"JPY\",\"\"", "10050,\"JPY\",\"\"", 7),
        ("\"DR\",350,\"EUR\"", "\"DR\",350,\"USD\"", 5),
        ("\"CR\",10000,\"EUR\"", "\"XX\",10000,\"EUR\"", 5),
    ];
    for (right, changed, line) in wrong {
        let refusal = refused(&sample.replace(right, changed));
        assert_eq!(refusal.line, line, "{changed}: {refusal}");
    }
    let without_footer: String =
        lines_of(sample).into_iter().filter(|line| !line.starts_with("\"SF\",\"JPY\"")).collect();
    assert_eq!(refused(&without_footer).to_string(), "line 10: the footer of JPY (row SF) is missing");
}

#[test]
fn adyens_reports_are_read_net_of_costs() {
    let file = whole(include_str!("samples/adyen_settlement.csv"));
    assert_eq!(file.read.format, Format::AdyenSettlement);
    let found: Vec<_> = file.entries.iter().map(|e| (e.amount.minor, e.fee, e.code.as_deref())).collect();
    assert_eq!(
        found,
        [(98_55, -1_45, Some("Settled")), (-40_10, -10, Some("Refunded")), (-58_45, 0, Some("MerchantPayout"))]
    );
    assert_eq!((file.statements[0].account.as_str(), file.statements[0].id.as_deref()), ("MarketEU", Some("134")));
    let both = include_str!("samples/adyen_settlement.csv").replace("EUR,,98.55", "EUR,1.00,98.55");
    assert_eq!(refused(&both).to_string(), "line 2: the net amount is there twice");

    let file = whole(include_str!("samples/adyen_accounting.csv"));
    assert_eq!(file.read.format, Format::AdyenAccounting);
    let found: Vec<_> = file.entries.iter().map(|e| (e.amount.minor, e.bank_reference.as_deref())).collect();
    assert_eq!(found, [(50_00, Some("TX1")), (-20_00, Some("TX2"))], "what is only received is no booking");
    assert_eq!(file.statements[0].opening, None);
}

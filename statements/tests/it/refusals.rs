//! What is wrong with a file is said with its line and in words.

use partita_statements::{Limits, Options, Reason};

use crate::reader::{File, lines_of, refused, whole};

const CAMT: &str = include_str!("samples/camt053_v02.xml");
const MT940: &str = include_str!("samples/mt940.sta");

#[track_caller]
fn refused_camt(from: &str, to: &str) -> Reason {
    assert!(CAMT.contains(from), "the sample has {from}");
    refused(&CAMT.replacen(from, to, 1)).reason
}

#[test]
fn an_entry_that_is_left_out_shows_in_the_balance() {
    let without = CAMT.replacen(
        "<Sts>BOOK</Sts>\n        <BookgDt><Dt>2026-11-27</Dt></BookgDt><BkTxCd><Prtry><Cd>FEE</Cd></Prtry></BkTxCd><AddtlNtryInf>",
        "<Sts>PDNG</Sts>\n        <BookgDt><Dt>2026-11-27</Dt></BookgDt><BkTxCd><Prtry><Cd>FEE</Cd></Prtry></BkTxCd><AddtlNtryInf>",
        1,
    );
    let refusal = refused(
        &without
            .replace("<Sum>125.00</Sum>", "<Sum>120.00</Sum>")
            .replace("<NbOfNtries>2</NbOfNtries><Sum>120", "<NbOfNtries>1</NbOfNtries><Sum>120"),
    );
    assert!(matches!(refusal.reason, Reason::Balance { .. }), "{refusal}");
    assert_eq!(
        refusal.to_string(),
        "line 54: the entries do not lead from 1000.00 EUR to 1275.50 EUR: they lead to 1280.50 EUR"
    );
    let mt940 = refused(&MT940.replacen("D25,00", "D25,01", 1));
    assert_eq!(
        mt940.to_string(),
        "line 13: the entries do not lead from 1000.00 EUR to 1280.50 EUR: they lead to 1280.49 EUR"
    );
}

#[test]
fn totals_of_a_camt_statement_and_of_a_batch_are_checked() {
    let total = |reason: &Reason| match reason {
        Reason::Total { what, .. } => *what,
        other => panic!("{other}"),
    };
    assert_eq!(total(&refused_camt("<Sum>400.50</Sum>", "<Sum>400.51</Sum>")), "the sum of credits");
    assert_eq!(
        total(&refused_camt("<TtlDbtNtries><NbOfNtries>2", "<TtlDbtNtries><NbOfNtries>3")),
        "the number of debits"
    );
    assert_eq!(
        total(&refused_camt("<Amt Ccy=\"EUR\">50.00</Amt></TxAmt>", "<Amt Ccy=\"EUR\">51.00</Amt></TxAmt>")),
        "the amount of a batch"
    );
    assert_eq!(
        total(&refused_camt("<NbOfTxs>2</NbOfTxs>", "<NbOfTxs>3</NbOfTxs>")),
        "the number of payments of a batch"
    );
    let charged = CAMT.replacen(
        "<Amt Ccy=\"EUR\">50.00</Amt></TxAmt></AmtDtls>",
        "<Amt Ccy=\"EUR\">49.00</Amt></TxAmt></AmtDtls><Chrgs/>",
        1,
    );
    assert_eq!(whole(&charged).entries.len(), 4, "charges explain a difference");
}

#[test]
fn opening_balances_that_contradict_each_other_are_refused() {
    let previous = "<Bal><Tp><CdOrPrtry><Cd>PRCD</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">1000.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-11-26</Dt></Dt></Bal>";
    let opening = previous.replace("PRCD", "OPBD").replace("26</Dt>", "27</Dt>");
    let both = |opening: &str| CAMT.replacen(previous, &format!("{previous}{opening}"), 1);
    assert_eq!(whole(&both(&opening)).statements[0].opening.map(|balance| balance.amount), Some(1000_00));
    assert!(matches!(refused(&both(&opening.replace("1000", "1001"))).reason, Reason::Total { .. }));
    assert!(matches!(refused(&both(previous)).reason, Reason::Repeated("a balance (Bal)")));
    assert!(matches!(refused_camt(previous, ""), Reason::Missing(what) if what.contains("OPBD")));
    assert!(matches!(refused_camt("<Cd>CLBD</Cd>", "<Cd>FWAV</Cd>"), Reason::Missing(what) if what.contains("CLBD")));
}

#[test]
fn a_statement_that_ends_before_it_begins_is_refused() {
    let changed = CAMT.replacen("<Dt>2026-11-26</Dt></Dt></Bal>", "<Dt>2026-11-29</Dt></Dt></Bal>", 1);
    assert!(matches!(refused(&changed).reason, Reason::Dates { .. }));
}

#[test]
fn values_that_are_not_what_they_should_be_are_named() {
    assert!(matches!(refused_camt("<Amt Ccy=\"EUR\">300.50", "<Amt Ccy=\"EUR\">-300.50"), Reason::Unreadable { .. }));
    assert!(matches!(refused_camt("<Amt Ccy=\"EUR\">300.50", "<Amt Ccy=\"EUR\">300.505"), Reason::TooFine { .. }));
    assert!(matches!(refused_camt("<Amt Ccy=\"EUR\">300.50", "<Amt Ccy=\"USD\">300.50"), Reason::Currency { .. }));
    assert!(matches!(
        refused_camt("<Amt Ccy=\"EUR\">300.50", "<Amt>300.50"),
        Reason::Unreadable { what: "a currency", .. }
    ));
    assert!(matches!(
        refused_camt("<Amt Ccy=\"EUR\">300.50", "<Amt Ccy=\"EUR\">1</Amt><Amt Ccy=\"EUR\">300.50"),
        Reason::Repeated(_)
    ));
    assert!(matches!(
        refused_camt("<CdtDbtInd>CRDT</CdtDbtInd><Sts>", "<CdtDbtInd>CREDIT</CdtDbtInd><Sts>"),
        Reason::Unreadable { .. }
    ));
    assert!(matches!(
        refused_camt("<BookgDt><Dt>2026-11-27", "<BookgDt><Dt>2026-02-30"),
        Reason::Unreadable { what: "a date", .. }
    ));
    assert!(matches!(refused_camt("<Sts>BOOK</Sts>", ""), Reason::Missing(_)));
    assert!(matches!(refused_camt("<IBAN>DE02120300000000202051</IBAN>", ""), Reason::Missing(_)));
    assert!(matches!(
        refused_camt("<Amt Ccy=\"EUR\">300.50", "<Amt Ccy=\"EUR\">92233720368547758.07"),
        Reason::Overflow
    ));
}

#[test]
fn other_messages_and_other_formats_are_named() {
    let other = |message: &str| refused(&CAMT.replace("camt.053.001.02", message)).to_string();
    assert_eq!(
        other("camt.052.001.08"),
        "line 2: this is \"camt.052.001.08\"; read are camt.053.001.02 and camt.053.001.08"
    );
    assert!(matches!(refused("<html></html>").reason, Reason::UnsupportedMessage(name) if name == "html"));
    assert!(matches!(refused("Date,Amount\n2026-11-27,1\n").reason, Reason::UnknownFormat));
    assert!(matches!(refused("").reason, Reason::Empty));
    assert!(matches!(refused("\u{feff}").reason, Reason::UnknownFormat));
}

#[test]
fn mt940_fields_out_of_place_are_refused_at_their_line() {
    let without = |start: &str| {
        let mut left = false;
        let keep = |line: &&str| !line.starts_with(start) || std::mem::replace(&mut left, true);
        lines_of(MT940).into_iter().filter(keep).collect::<String>()
    };
    assert!(matches!(refused(&without(":25:")).reason, Reason::Missing(_)));
    assert!(matches!(refused(&without(":60F:")).reason, Reason::Unexpected(_)));
    assert_eq!(refused(&without(":62F:")).line, 13, "{}", refused(&without(":62F:")));
    assert!(matches!(
        refused(&MT940.replacen(":62F:C261127EUR", ":62F:C261127USD", 1)).reason,
        Reason::Currency { .. }
    ));
    assert!(matches!(refused(&MT940.replacen(":28C:00331/001", ":28C:x", 1)).reason, Reason::Field { .. }));
    let cut = MT940.rfind(":62F:").expect("the second message has a closing balance");
    assert!(matches!(refused(&MT940[..cut]).reason, Reason::Truncated(_)), "the second message has no end");
    assert!(matches!(refused(&format!("{MT940}text\n")).reason, Reason::Unexpected(_)));
    assert!(matches!(refused(&MT940.replacen(":86:166", ":99:166", 1)).reason, Reason::Unexpected(_)));
}

#[test]
fn every_limit_is_kept() {
    let defaults = Limits::default();
    let limited = |limits: Limits, text: &str| {
        let options = Options { limits, ..Options::default() };
        File::read(text.as_bytes(), &options).expect_err("beyond a limit").reason
    };
    let length = u64::try_from(CAMT.len()).expect("a length");
    assert!(matches!(limited(Limits { bytes: length - 1, ..defaults }, CAMT), Reason::FileTooLarge { .. }));
    let exact = Options { limits: Limits { bytes: length, entries: 4, depth: 10, ..defaults }, ..Options::default() };
    assert_eq!(File::read(CAMT.as_bytes(), &exact).expect("within its limits").read.bytes, length);
    assert!(matches!(limited(Limits { entries: 3, ..defaults }, CAMT), Reason::TooMany { what: "entries", limit: 3 }));
    assert!(matches!(limited(Limits { details: 1, ..defaults }, CAMT), Reason::TooMany { .. }));
    assert!(matches!(limited(Limits { depth: 9, ..defaults }, CAMT), Reason::TooDeep { limit: 9 }));
    assert!(matches!(limited(Limits { piece: 40, ..defaults }, CAMT), Reason::TooLong { limit: 40 }));
    assert!(matches!(limited(Limits { entry: 300, ..defaults }, CAMT), Reason::TooLong { limit: 300 }));
    assert!(matches!(limited(Limits { piece: 40, ..defaults }, MT940), Reason::TooLong { limit: 40 }));
}

#[test]
fn a_refusal_quotes_no_card_number() {
    let refusal = refused(&MT940.replacen(":28C:00331/001", ":28C:card 4242 4242 4242 4242", 1));
    assert!(!refusal.to_string().contains("4242 4242"), "{refusal}");
}

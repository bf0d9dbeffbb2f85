//! The file against the schema's order and number of elements, as far as the file uses them, and against its own sums.

use super::*;

/// An element: its name, its attributes as they stand, what is in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document without comments, entities or text beside elements.
    fn read(xml: &str) -> Self {
        let mut open = vec![Self::default()];
        for piece in xml.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').expect("a tag ends");
            if tag.starts_with('?') {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let done = open.pop().expect("it was opened");
                assert_eq!(done.name, name, "elements end in the order in which they began");
                assert!(done.text.trim().is_empty() || done.children.is_empty(), "text beside elements in {name}");
                open.last_mut().expect("there is an outer one").children.push(done);
                continue;
            }
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            open.push(Self {
                name: name.to_owned(),
                attributes: attributes.to_owned(),
                text: text.to_owned(),
                children: Vec::new(),
            });
        }
        assert_eq!(open.len(), 1, "everything is closed");
        open.remove(0).children.remove(0)
    }

    fn find(&self, path: &str) -> &Self {
        path.split('/').fold(self, |at, name| {
            at.children.iter().find(|child| child.name == name).unwrap_or_else(|| panic!("{name} in {}", at.name))
        })
    }

    fn text(&self, path: &str) -> &str {
        &self.find(path).text
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// A child's name, and the least and the most that there may be.
type Child = (&'static str, usize, usize);

/// The children that the schema has of an element, in its order, with the least and the most of each. Names are those of the
/// XSD of pain.001.001.09; what the file never writes is left out, where it may be.
const SCHEMA: &[(&str, &[Child])] = &[
    ("Document", &[("CstmrCdtTrfInitn", 1, 1)]),
    ("CstmrCdtTrfInitn", &[("GrpHdr", 1, 1), ("PmtInf", 1, usize::MAX), ("SplmtryData", 0, usize::MAX)]),
    (
        "GrpHdr",
        &[
            ("MsgId", 1, 1),
            ("CreDtTm", 1, 1),
            ("Authstn", 0, 2),
            ("NbOfTxs", 1, 1),
            ("CtrlSum", 0, 1),
            ("InitgPty", 1, 1),
            ("FwdgAgt", 0, 1),
            ("InitnSrc", 0, 1),
        ],
    ),
    (
        "PmtInf",
        &[
            ("PmtInfId", 1, 1),
            ("PmtMtd", 1, 1),
            ("ReqdAdvcTp", 0, 1),
            ("BtchBookg", 0, 1),
            ("NbOfTxs", 0, 1),
            ("CtrlSum", 0, 1),
            ("PmtTpInf", 0, 1),
            ("ReqdExctnDt", 1, 1),
            ("PoolgAdjstmntDt", 0, 1),
            ("Dbtr", 1, 1),
            ("DbtrAcct", 1, 1),
            ("DbtrAgt", 1, 1),
            ("DbtrAgtAcct", 0, 1),
            ("InstrForDbtrAgt", 0, 1),
            ("UltmtDbtr", 0, 1),
            ("ChrgBr", 0, 1),
            ("ChrgsAcct", 0, 1),
            ("ChrgsAcctAgt", 0, 1),
            ("CdtTrfTxInf", 1, usize::MAX),
        ],
    ),
    ("PmtTpInf", &[("InstrPrty", 0, 1), ("SvcLvl", 0, usize::MAX), ("LclInstrm", 0, 1), ("CtgyPurp", 0, 1)]),
    ("SvcLvl", &[("Cd", 1, 1)]),
    ("ReqdExctnDt", &[("Dt", 1, 1)]),
    ("InitgPty", &[("Nm", 0, 1), ("PstlAdr", 0, 1), ("Id", 0, 1)]),
    ("Dbtr", &[("Nm", 0, 1), ("PstlAdr", 0, 1), ("Id", 0, 1)]),
    ("Cdtr", &[("Nm", 0, 1), ("PstlAdr", 0, 1), ("Id", 0, 1)]),
    ("DbtrAcct", &[("Id", 0, 1), ("Tp", 0, 1), ("Ccy", 0, 1), ("Nm", 0, 1)]),
    ("CdtrAcct", &[("Id", 0, 1), ("Tp", 0, 1), ("Ccy", 0, 1), ("Nm", 0, 1)]),
    ("Id", &[("IBAN", 1, 1)]),
    ("DbtrAgt", &[("FinInstnId", 1, 1), ("BrnchId", 0, 1)]),
    ("CdtrAgt", &[("FinInstnId", 1, 1), ("BrnchId", 0, 1)]),
    (
        "FinInstnId",
        &[("BICFI", 0, 1), ("ClrSysMmbId", 0, 1), ("LEI", 0, 1), ("Nm", 0, 1), ("PstlAdr", 0, 1), ("Othr", 0, 1)],
    ),
    ("Othr", &[("Id", 1, 1), ("SchmeNm", 0, 1), ("Issr", 0, 1)]),
    (
        "CdtTrfTxInf",
        &[
            ("PmtId", 1, 1),
            ("PmtTpInf", 0, 1),
            ("Amt", 1, 1),
            ("XchgRateInf", 0, 1),
            ("ChrgBr", 0, 1),
            ("UltmtDbtr", 0, 1),
            ("CdtrAgt", 0, 1),
            ("CdtrAgtAcct", 0, 1),
            ("Cdtr", 0, 1),
            ("CdtrAcct", 0, 1),
            ("UltmtCdtr", 0, 1),
            ("Purp", 0, 1),
            ("RmtInf", 0, 1),
        ],
    ),
    ("PmtId", &[("InstrId", 0, 1), ("EndToEndId", 1, 1), ("UETR", 0, 1)]),
    ("Amt", &[("InstdAmt", 1, 1)]),
    ("RmtInf", &[("Ustrd", 0, usize::MAX), ("Strd", 0, usize::MAX)]),
];

/// The longest text of an element, by the types of the schema.
const LONGEST: &[(&str, usize)] = &[
    ("MsgId", 35),
    ("PmtInfId", 35),
    ("EndToEndId", 35),
    ("Nm", 70), // 140 in the schema; SEPA allows half
    ("Ustrd", 140),
    ("Id", 35),
    ("NbOfTxs", 15),
];

fn check(element: &Element, parent: &str) {
    // In FinInstnId/Othr the Id is a text, elsewhere it holds an IBAN.
    let is_leaf = parent == "Othr" || !SCHEMA.iter().any(|(name, _)| *name == element.name);
    if is_leaf {
        assert!(element.children.is_empty() && !element.text.is_empty(), "{element:?}");
        let longest = LONGEST.iter().find(|(name, _)| *name == element.name).map_or(usize::MAX, |(_, most)| *most);
        assert!(element.text.len() <= longest, "{element:?}");
        let every_bank = |c: char| c.is_ascii_alphanumeric() || " /-?:().,'+".contains(c);
        assert!(element.text.chars().all(every_bank), "{element:?}");
        return;
    }
    let (_, lawful) = SCHEMA.iter().find(|(name, _)| *name == element.name).expect("looked for above");
    let mut left = element.children.iter().peekable();
    for (name, least, most) in *lawful {
        let mut count = 0;
        while left.next_if(|child| child.name == *name).is_some() {
            count += 1;
        }
        assert!((*least..=*most).contains(&count), "{count} {name} in {}", element.name);
    }
    assert!(left.peek().is_none(), "{:?} is out of its place in {}", left.peek(), element.name);
    element.children.iter().for_each(|child| check(child, &element.name));
}

fn account(holder: &str, iban: &str, bic: Option<&str>) -> BankAccount {
    BankAccount::parse(holder, iban, bic).expect("lawful")
}

fn file(currency: &str, orders: &[Order], bic: Option<&str>) -> Element {
    let from = account("Fair & Märkte", "NL91ABNA0417164300", bic);
    let instruction = Instruction {
        message: bank_id("bkf_01k9x8h2v3e4t5n6m7q8r9s0ab"),
        made_at: "2026-03-05T08:09:10.999Z".parse().expect("a time"),
        execute_on: "2026-03-06".parse().expect("a date"),
        currency: Currency::parse(currency).expect("a currency"),
        from: &from,
        orders,
    };
    let xml = write(&instruction, orders.iter().map(|order| order.amount).sum());
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.09\">\n"));
    let read = Element::read(&xml);
    check(&read, "");
    read
}

fn orders(amounts: &[i64]) -> Vec<Order> {
    let order = |amount: &i64| Order {
        end_to_end: bank_id("pyt_01h455vb4pex5vsknk084sn02q"),
        amount: *amount,
        to: account("Shop Ä", "DE89370400440532013000", None),
    };
    amounts.iter().map(order).collect()
}

#[test]
fn a_file_in_euros_is_as_the_schema_and_sepa_want_it() {
    let mut orders = orders(&[54_00, 36_00, 5]);
    orders[1].to = account("B", "FR1420041010050500013M02606", Some("BNPAFRPP"));
    let read = file("EUR", &orders, Some("ABNANL2A"));
    let header = read.find("CstmrCdtTrfInitn/GrpHdr");
    assert_eq!(
        [header.text("MsgId"), header.text("CreDtTm"), header.text("NbOfTxs"), header.text("CtrlSum")],
        ["bkf-01k9x8h2v3e4t5n6m7q8r9s0ab", "2026-03-05T08:09:10Z", "3", "90.05"]
    );
    assert_eq!(header.text("InitgPty/Nm"), "Fair + Maerkte");
    let payment = read.find("CstmrCdtTrfInitn/PmtInf");
    assert_eq!(
        ["PmtMtd", "NbOfTxs", "CtrlSum", "PmtTpInf/SvcLvl/Cd", "ReqdExctnDt/Dt", "ChrgBr"]
            .map(|path| payment.text(path)),
        ["TRF", "3", "90.05", "SEPA", "2026-03-06", "SLEV"]
    );
    assert_eq!(
        ["DbtrAcct/Id/IBAN", "DbtrAcct/Ccy", "DbtrAgt/FinInstnId/BICFI"].map(|path| payment.text(path)),
        ["NL91ABNA0417164300", "EUR", "ABNANL2A"]
    );
    let paid: Vec<_> = payment.all("CdtTrfTxInf").collect();
    assert_eq!(
        ["PmtId/EndToEndId", "Amt/InstdAmt", "Cdtr/Nm", "CdtrAcct/Id/IBAN"].map(|path| paid[0].text(path)),
        ["pyt-01h455vb4pex5vsknk084sn02q", "54.00", "Shop Ae", "DE89370400440532013000"]
    );
    assert_eq!(paid[0].find("Amt/InstdAmt").attributes, "Ccy=\"EUR\"");
    assert_eq!((paid[1].text("CdtrAgt/FinInstnId/BICFI"), paid[2].text("Amt/InstdAmt")), ("BNPAFRPP", "0.05"));
    assert!(paid[0].all("CdtrAgt").next().is_none(), "the IBAN is enough");
}

#[test]
fn other_currencies_have_their_own_decimals_and_no_sepa() {
    for (currency, sum) in [("JPY", "1234"), ("KWD", "1.234"), ("USD", "12.34")] {
        let read = file(currency, &orders(&[1_200, 34]), None);
        let payment = read.find("CstmrCdtTrfInitn/PmtInf");
        assert_eq!((payment.text("CtrlSum"), payment.text("ChrgBr")), (sum, "SHAR"));
        assert_eq!(payment.text("DbtrAgt/FinInstnId/Othr/Id"), "NOTPROVIDED");
        assert!(payment.all("PmtTpInf").next().is_none());
    }
}

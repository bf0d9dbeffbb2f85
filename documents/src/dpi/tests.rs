use jiff::civil::date;
use partita_provider::Currency;

use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("EUR is current"))
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn address(city: &str) -> Address {
    Address {
        country: text("DE"),
        street: Some(text("Marktstraße 1")),
        post_code: Some(text("10115")),
        city: text(city),
    }
}

fn message() -> Message {
    Message {
        purpose: Purpose::New,
        transmitting_country: text("DE"),
        receiving_country: text("DE"),
        reference: text("DE2026DE-run-1"),
        year: 2026,
        made_at: "2027-01-15T09:00:00Z".parse().expect("a timestamp"),
        operator: Operator {
            reference: text("DE-op-1"),
            country: text("DE"),
            tin: Tin { number: text("11/222/33333"), issued_by: text("DE") },
            vat: Some(text("DE123456789")),
            name: text("Markt & Platz GmbH"),
            platform: Some(text("Marktplatz")),
            address: address("Berlin"),
            nexus: Some(Nexus::Resident),
        },
    }
}

fn quarter(consideration: i64, activities: u32, fees: i64) -> Quarter {
    Quarter { consideration: eur(consideration), activities, fees: eur(fees), taxes: eur(0) }
}

fn company() -> Seller {
    Seller {
        reference: text("DE-seller-1"),
        identity: Identity::Entity {
            country: text("FR"),
            tin: Some(Tin { number: text("732829320"), issued_by: text("FR") }),
            registration: Some(text("RCS 1")),
            vat: None,
            name: text("Crêpes Réunies SARL"),
            address: address("Köln"),
        },
        account: Some((text("FR7630006000011234567890189"), None)),
        activity: Activity::SaleOfGoods,
        quarters: [quarter(1_250_50, 3, 125_49), quarter(0, 0, 0), quarter(99, 1, 9), quarter(1_000_00, 2, 100_00)],
    }
}

fn person() -> Seller {
    let birth = Birth { date: date(1980, 2, 29), place: Some((text("Łódź"), text("PL"))) };
    let identity = Identity::Individual {
        country: text("DE"),
        tin: None,
        vat: None,
        first_name: text("Zoë"),
        last_name: text("Nowak"),
        address: address("Berlin"),
        birth,
    };
    Seller { identity, account: None, activity: Activity::PersonalServices, ..company() }
}

fn written(message: Message, sellers: &[Seller]) -> Result<(String, ControlTotals), Error> {
    let mut bytes = Vec::new();
    let mut dpi = Dpi::try_new(&mut bytes, message)?;
    for seller in sellers {
        dpi.seller(seller)?;
    }
    let totals = dpi.finish()?;
    let text = String::from_utf8(bytes).expect("XML is UTF-8");
    Ok((text.lines().map(str::trim).collect(), totals))
}

#[test]
fn a_company_and_a_person_are_as_worked_out_by_hand() {
    let (xml, totals) = written(message(), &[company(), person()]).expect("a lawful message");
    let parts = [
        "<dpi:ReportingPeriod>2026-12-31</dpi:ReportingPeriod><dpi:Timestamp>2027-01-15T10:00:00</dpi:Timestamp>",
        "<dpi:Name>Markt &amp; Platz GmbH</dpi:Name><dpi:PlatformBusinessName>Marktplatz</dpi:PlatformBusinessName>\
         <dpi:Address legalAddressType=\"OECD304\"><dpi:CountryCode>DE</dpi:CountryCode>",
        "<dpi:Nexus>RPONEX1</dpi:Nexus><dpi:AssumedReporting>false</dpi:AssumedReporting>\
         <dpi:DocSpec><stf:DocTypeIndic>OECD1</stf:DocTypeIndic><stf:DocRefId>DE-op-1</stf:DocRefId></dpi:DocSpec></dpi:PlatformOperator>",
        "<dpi:ReportableSeller><dpi:Identity><dpi:EntitySeller><dpi:Standard><dpi:EntSellerID>\
         <dpi:ResCountryCode>FR</dpi:ResCountryCode><dpi:TIN issuedBy=\"FR\">732829320</dpi:TIN>\
         <dpi:IN issuedBy=\"FR\" INType=\"BRN\">RCS 1</dpi:IN>",
        "<dpi:FinancialIdentifier><dpi:Identifier>FR7630006000011234567890189</dpi:Identifier></dpi:FinancialIdentifier>",
        // 1,250.50 is 1,251; 0.99 is 1; 125.49 is 125; 0.09 is 0.
        "<dpi:SaleOfGoods><dpi:Consideration><dpi:ConsQ1 currCode=\"EUR\">1251</dpi:ConsQ1>\
         <dpi:ConsQ2 currCode=\"EUR\">0</dpi:ConsQ2><dpi:ConsQ3 currCode=\"EUR\">1</dpi:ConsQ3>\
         <dpi:ConsQ4 currCode=\"EUR\">1000</dpi:ConsQ4></dpi:Consideration><dpi:NumberOfActivities><dpi:NumbQ1>3</dpi:NumbQ1>",
        "<dpi:Fees><dpi:FeesQ1 currCode=\"EUR\">125</dpi:FeesQ1><dpi:FeesQ2 currCode=\"EUR\">0</dpi:FeesQ2>\
         <dpi:FeesQ3 currCode=\"EUR\">0</dpi:FeesQ3><dpi:FeesQ4 currCode=\"EUR\">100</dpi:FeesQ4></dpi:Fees>",
        "<dpi:TIN unknown=\"true\">NOTIN</dpi:TIN><dpi:Name><dpi:FirstName>Zoë</dpi:FirstName>\
         <dpi:LastName>Nowak</dpi:LastName></dpi:Name>",
        "<dpi:BirthInfo><dpi:BirthDate>1980-02-29</dpi:BirthDate><dpi:BirthPlace><dpi:City>Łódź</dpi:City>\
         <dpi:CountryInfo><dpi:CountryCode>PL</dpi:CountryCode></dpi:CountryInfo></dpi:BirthPlace></dpi:BirthInfo>",
        "<dpi:PersonalServices>",
    ];
    for part in parts {
        assert!(xml.contains(part), "{part}\nis not in\n{xml}");
    }
    // Two sellers with 1251 + 0 + 1 + 1000 and 125 + 0 + 0 + 100 each.
    let sums: Vec<_> = totals.sums.iter().map(|sum| (sum.column, sum.total.as_str())).collect();
    assert_eq!((totals.rows, sums), (2, vec![("Consideration", "4504.00"), ("Fees", "450.00"), ("Taxes", "0.00")]));
}

#[test]
fn a_message_to_try_is_marked_as_one() {
    let (xml, _) = written(Message { purpose: Purpose::Test, ..message() }, &[company()]).expect("a lawful message");
    assert_eq!(xml.matches("<stf:DocTypeIndic>OECD11</stf:DocTypeIndic>").count(), 2);
    assert!(!xml.contains("OECD1<"));
}

#[test]
fn what_the_schema_has_not_is_refused() {
    let mut mixed = company();
    mixed.quarters[2].fees = Money::new(1, Currency::parse("USD").expect("USD is current"));
    let mut nameless = company();
    let Identity::Entity { name, .. } = &mut nameless.identity else { unreachable!("a company is an entity") };
    name.clear();
    let mut placeless = person();
    let Identity::Individual { birth, .. } = &mut placeless.identity else { unreachable!("a person is an individual") };
    birth.place = None;
    let mut stateless = company();
    let Identity::Entity { tin, .. } = &mut stateless.identity else { unreachable!("a company is an entity") };
    *tin = Some(Tin { number: text("1"), issued_by: text("\"x") });
    let cases = [
        (stateless, "row 2, dpi:TIN: "),
        (mixed, "row 2, Fees: USD in a document of EUR"),
        (nameless, "row 2, dpi:Name: has 0 characters"),
        (placeless, "row 2, BirthPlace: is needed"),
    ];
    for (seller, expected) in cases {
        let refused = written(message(), &[company(), seller]).expect_err(expected).to_string();
        assert!(refused.starts_with(expected), "{refused} is not {expected}");
    }
    let foreign = Message { receiving_country: text("Germany"), reference: text("DE2026Germany"), ..message() };
    assert!(matches!(written(foreign, &[company()]), Err(Error::Field { field: "dpi:ReceivingCountry", .. })));
    let named = Message { reference: text("run-1"), ..message() };
    assert!(matches!(written(named, &[company()]), Err(Error::Field { field: "MessageRefId", .. })));
    assert!(matches!(written(message(), &[]), Err(Error::Field { field: "ReportableSeller", .. })));
}

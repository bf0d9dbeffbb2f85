//! What is written is read back; what is not quite it is refused.

use partita_statements::{Entry, Mapping, Options};
use proptest::prelude::*;

use crate::reader::{File, whole};
use crate::writer::{Meant, camt, csv, mt940};

fn entries(text: &'static str) -> impl Strategy<Value = Vec<Meant>> {
    let entry = (-1_000_000_000_i64..1_000_000_000, 1_u8..=30, "[A-Z0-9]{1,12}", text);
    let meant = |(amount, day, reference, text)| Meant { amount, day, reference, text };
    prop::collection::vec(entry.prop_map(meant), 1..20)
}

fn same(entry: &Entry, meant: &Meant) -> Result<(), TestCaseError> {
    prop_assert_eq!(entry.amount.minor, meant.amount);
    prop_assert_eq!(entry.booked_on.to_string(), format!("2026-11-{:02}", meant.day));
    prop_assert_eq!(entry.bank_reference.as_deref(), Some(meant.reference.as_str()));
    prop_assert_eq!(entry.details[0].remittance.as_deref(), Some(meant.text.as_str()));
    Ok(())
}

fn mapping() -> Mapping {
    serde_json::from_str(
        r#"{"delimiter": ";", "decimal_mark": ",", "date_format": "%d.%m.%Y", "account": {"fixed": "A"},
            "currency": {"fixed": "EUR"}, "amount": {"signed": {"column": "amount"}}, "booked_on": "day",
            "bank_reference": "reference", "remittance": ["text"]}"#,
    )
    .expect("a mapping")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn camt_is_read_as_it_was_meant(
        opening in -1_000_000_i64..1_000_000,
        meant in entries("[a-zA-Z0-9äöüß&<>.,]([ a-zA-Z0-9äöüß&<>.,]{0,30}[a-z])?"),
        version in prop::sample::select(vec!["02", "08"]),
    ) {
        let file = whole(&camt(version, opening, &meant));
        prop_assert_eq!(file.entries.len(), meant.len());
        for (entry, meant) in file.entries.iter().zip(&meant) {
            same(entry, meant)?;
        }
        let statement = &file.statements[0];
        prop_assert_eq!(statement.opening.map(|balance| balance.amount), Some(opening));
        prop_assert_eq!(statement.credits - statement.debits, meant.iter().map(|entry| entry.amount).sum::<i64>());
    }

    #[test]
    fn mt940_is_read_as_it_was_meant(
        opening in -1_000_000_i64..1_000_000,
        meant in entries("[A-Za-z]([ A-Za-z0-9/.,]{0,30}[a-z])?"),
    ) {
        let file = whole(&mt940(opening, &meant));
        prop_assert_eq!(file.entries.len(), meant.len());
        for (entry, meant) in file.entries.iter().zip(&meant) {
            same(entry, meant)?;
        }
    }

    #[test]
    fn csv_is_read_as_it_was_meant(meant in entries("[a-z;\"]([ a-z;\",\n]{0,30}[a-z;\"])?")) {
        let options = Options { mapping: Some(mapping()), ..Options::default() };
        let file = File::read(csv(&meant).as_bytes(), &options);
        let file = file.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        prop_assert_eq!(file.entries.len(), meant.len());
        for (entry, meant) in file.entries.iter().zip(&meant) {
            same(entry, meant)?;
        }
    }

    #[test]
    fn a_cent_more_or_less_is_always_seen(
        meant in entries("[A-Za-z]{1,9}"),
        which in any::<prop::sample::Index>(),
        cents in prop::sample::select(vec![-1_i64, 1]),
    ) {
        let mut changed = meant.clone();
        changed[which.index(meant.len())].amount += cents;
        // The changed entries between the balances of the right ones.
        let (right, wrong) = (mt940(0, &meant), mt940(0, &changed));
        let closing = |text: &str| text.lines().find(|line| line.starts_with(":62F:")).map(str::to_owned);
        let (right, stated) = (closing(&right).unwrap_or_default(), closing(&wrong).unwrap_or_default());
        prop_assert!(File::read(wrong.replace(&stated, &right).as_bytes(), &Options::default()).is_err());
    }

    #[test]
    fn identities_are_of_the_entry_and_of_its_place_among_equal_ones(meant in entries("[A-Za-z]{1,9}"), twice in 1_usize..4) {
        let mut repeated = meant.clone();
        repeated.extend(std::iter::repeat_n(meant[0].clone(), twice));
        let file = whole(&camt("02", 0, &repeated));
        let mut identities: Vec<_> = file.entries.iter().map(|entry| entry.identity).collect();
        let first: Vec<_> = whole(&camt("08", 5_00, &meant)).entries.iter().map(|entry| entry.identity).collect();
        prop_assert_eq!(&identities[..meant.len()], &first[..], "the same in another file");
        identities.sort_unstable();
        identities.dedup();
        prop_assert_eq!(identities.len(), repeated.len(), "none twice in one file");
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), start in 0_usize..6) {
        let starts = ["", "<Document>", ":20:A\n:25:B\n:60F:", "{1:}{4:\n", "\"RH\"\n\"FH\",1\n", "BalanceAccount,Transfer Id,Balance (PC)\n"];
        let file = [starts[start].as_bytes(), &bytes].concat();
        let _ = File::read(&file, &Options::default());
        let _ = File::read(&file, &Options { mapping: Some(mapping()), ..Options::default() });
    }
}

//! Who gets what of a line, in words. Pure.

use partita_provider::{Currency, Money};

use super::{Line, Remaining, TaxLiability};

/// Who gets what of a line: buyer, seller, platform, state; and what was given back. `seller` is the platform's own id of
/// the seller.
pub fn who_gets_what(line: &Line, seller: Option<&str>, currency: Currency) -> String {
    let money = |minor: i64| Money::new(minor, currency).to_string();
    let mut sentences = vec![match line.tax_amount {
        0 => format!("The buyer pays {}.", money(line.amount)),
        tax => {
            format!("The buyer pays {}: {} net and {} tax.", money(line.amount + tax), money(line.amount), money(tax))
        }
    }];
    let owes = |tax: i64| format!("{} tax, owed to the state", money(tax));
    let of_seller = line.amount - line.commission;
    let (seller_gets, platform_gets) = match (line.tax_amount, line.tax_liability) {
        (0, _) => (money(of_seller), None),
        (tax, TaxLiability::Seller) => (format!("{} and {}", money(of_seller), owes(tax)), None),
        (tax, TaxLiability::Platform) => (money(of_seller), Some(owes(tax))),
    };
    let and_tax = platform_gets.map_or_else(String::new, |tax| format!(" and {tax}"));
    sentences.push(match seller {
        Some(seller) => format!(
            "Seller {seller} gets {seller_gets}; the platform keeps {} commission{and_tax}.",
            money(line.commission)
        ),
        None => format!("The platform gets {}{and_tax}.", money(line.amount)),
    });
    if line.commission_vat > 0 {
        sentences.push(format!("Of the commission, {} is VAT on it, owed to the state.", money(line.commission_vat)));
    }
    if line.uncaptured != Remaining::default() {
        let rest = line.uncaptured.amount + line.uncaptured.tax;
        sentences.push(format!("{} that the buyer had authorised was not captured.", money(rest)));
    }
    if line.refunded_amount > 0 || line.refunded_tax > 0 {
        let tax = if line.refunded_tax > 0 { format!(" and {} tax", money(line.refunded_tax)) } else { String::new() };
        sentences.push(format!("Of that, {}{tax} went back to the buyer.", money(line.refunded_amount)));
        if seller.is_some() {
            sentences.push(format!("The platform returned {} of its commission.", money(line.returned_commission)));
        }
    }
    if line.passed_fee > 0 {
        sentences.push(format!("The seller bears {} of the processor's fee.", money(line.passed_fee)));
    }
    sentences.join(" ")
}

/// How a line's commission came about, in words: as it was written down when the line was priced.
pub fn fee_in_words(line: &Line, currency: Currency) -> String {
    match (&line.fee_policy, line.seller) {
        (Some(fee), _) => fee.sentence.clone().unwrap_or_else(|| {
            let commission = Money::new(line.commission, currency);
            format!("{commission} by policy {}, version {}.", fee.policy, fee.version)
        }),
        (None, Some(_)) => "No fee policy is for this line: no commission.".to_owned(),
        (None, None) => "The line is the platform's own: no commission.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::SellerNumber;
    use crate::id::{FeePolicyId, SellerId};
    use crate::payments::{LineFee, LineKind, Standing};

    fn line(tax_liability: TaxLiability, tax_amount: i64) -> Line {
        Line {
            number: 0,
            kind: LineKind::Item,
            seller: Some((SellerId::new(), SellerNumber(1))),
            amount: 60_00,
            tax_amount,
            tax_liability,
            tax_jurisdiction: None,
            category: None,
            commission: 6_30,
            commission_vat: 0,
            fee_policy: None,
            refunded_amount: 0,
            refunded_tax: 0,
            returned_commission: 0,
            returned_vat: 0,
            disputed_amount: 0,
            disputed_tax: 0,
            disputed_commission: 0,
            disputed_vat: 0,
            withheld_share: 0,
            passed_fee: 0,
            failed: Remaining::default(),
            uncaptured: Remaining::default(),
            standing: Standing::WithPayment,
        }
    }

    fn eur() -> Currency {
        Currency::parse("EUR").expect("a currency")
    }

    #[test]
    fn everybody_is_told_what_they_get() {
        assert_eq!(
            who_gets_what(&line(TaxLiability::Platform, 12_00), Some("A"), eur()),
            "The buyer pays 72.00 EUR: 60.00 EUR net and 12.00 EUR tax. Seller A gets 53.70 EUR; the platform keeps 6.30 \
             EUR commission and 12.00 EUR tax, owed to the state."
        );
        assert_eq!(
            who_gets_what(&line(TaxLiability::Seller, 12_00), Some("A"), eur()),
            "The buyer pays 72.00 EUR: 60.00 EUR net and 12.00 EUR tax. Seller A gets 53.70 EUR and 12.00 EUR tax, owed to \
             the state; the platform keeps 6.30 EUR commission."
        );
        assert_eq!(
            who_gets_what(&line(TaxLiability::Platform, 0), None, eur()),
            "The buyer pays 60.00 EUR. The platform gets 60.00 EUR."
        );
        let refunded = Line { refunded_amount: 30_00, returned_commission: 3_15, ..line(TaxLiability::Platform, 0) };
        assert_eq!(
            who_gets_what(&refunded, Some("A"), eur()),
            "The buyer pays 60.00 EUR. Seller A gets 53.70 EUR; the platform keeps 6.30 EUR commission. Of that, 30.00 EUR \
             went back to the buyer. The platform returned 3.15 EUR of its commission."
        );
    }

    #[test]
    fn a_processors_fee_that_the_seller_bears_is_told() {
        let bearing = Line { passed_fee: 1_92, ..line(TaxLiability::Platform, 0) };
        let told = who_gets_what(&bearing, Some("A"), eur());
        assert!(told.ends_with("The seller bears 1.92 EUR of the processor's fee."), "{told}");
        let with_vat = Line { commission_vat: 1_09, ..line(TaxLiability::Platform, 0) };
        let told = who_gets_what(&with_vat, Some("A"), eur());
        assert!(told.ends_with("Of the commission, 1.09 EUR is VAT on it, owed to the state."), "{told}");
    }

    #[test]
    fn a_fee_is_told_as_it_was_written_down() {
        let bare = line(TaxLiability::Platform, 0);
        assert_eq!(fee_in_words(&bare, eur()), "No fee policy is for this line: no commission.");
        let own = Line { seller: None, ..bare.clone() };
        assert_eq!(fee_in_words(&own, eur()), "The line is the platform's own: no commission.");
        let policy = FeePolicyId::new();
        let fee = |sentence| {
            Some(LineFee { policy, version: 3, rule: None, volume: None, sentence, passes_processor_fee: false })
        };
        let old = Line { fee_policy: fee(None), ..bare.clone() };
        assert_eq!(fee_in_words(&old, eur()), format!("6.30 EUR by policy {policy}, version 3."));
        let told = Line { fee_policy: fee(Some("Because.".to_owned())), ..bare };
        assert_eq!(fee_in_words(&told, eur()), "Because.");
    }
}

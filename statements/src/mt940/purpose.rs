//! Field 86: what an entry is for, free or in the numbered parts that German banks write (`166?00..?20..?32..`).

use crate::statement::{Detail, filled};

/// What field 86 says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Purpose {
    /// The three digits of the transaction's kind.
    pub(super) code: Option<String>,
    pub(super) booking_text: Option<String>,
    pub(super) end_to_end_id: Option<String>,
    /// Counterparty, remittance and reason of a return.
    pub(super) detail: Detail,
}

/// The words that begin a part of the remittance in the transfers of SEPA.
const KEYS: [&str; 12] =
    ["EREF+", "KREF+", "MREF+", "CRED+", "DEBT+", "COAM+", "OAMT+", "SVWZ+", "ABWA+", "ABWE+", "IBAN+", "BIC+"];

/// Kinds of transactions that give back: direct debits and transfers.
const RETURNS: [&str; 3] = ["108", "109", "159"];

pub(super) fn parse(text: &str) -> Purpose {
    match structured(&text.replace('\n', "")) {
        Some(purpose) => purpose,
        None => Purpose {
            detail: Detail { remittance: filled(&text.replace('\n', " ")), ..Detail::default() },
            ..Purpose::default()
        },
    }
}

fn structured(text: &str) -> Option<Purpose> {
    let (code, rest) = text.split_at_checked(3)?;
    let separator = rest.chars().next().filter(|mark| !mark.is_alphanumeric() && *mark != ' ')?;
    let starts_part = rest.get(separator.len_utf8()..)?.get(..2)?.bytes().all(|byte| byte.is_ascii_digit());
    if !starts_part || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (mut booking_text, mut remittance, mut name, mut account, mut addition) =
        (String::new(), String::new(), String::new(), String::new(), String::new());
    let mut into = &mut booking_text;
    for (at, part) in rest.split(separator).enumerate().skip(1) {
        let number = part.get(..2).and_then(|number| number.parse::<u8>().ok());
        let text = match number {
            Some(number) => {
                into = match number {
                    0 => &mut booking_text,
                    20..=29 | 60..=63 => &mut remittance,
                    31 => &mut account,
                    32 | 33 => &mut name,
                    34 => &mut addition,
                    _ => continue,
                };
                &part[2..]
            }
            // The mark itself in a text.
            None if at > 1 => {
                into.push(separator);
                part
            }
            None => part,
        };
        into.push_str(text);
    }
    let is_return = RETURNS.contains(&code);
    Some(Purpose {
        code: Some(code.to_owned()),
        booking_text: filled(&booking_text),
        end_to_end_id: keyed(&remittance, "EREF+").filter(|id| id != "NOTPROVIDED"),
        detail: Detail {
            counterparty: filled(&name),
            counterparty_account: filled(&account),
            remittance: keyed(&remittance, "SVWZ+").or_else(|| filled(&remittance)),
            return_reason: filled(&addition).filter(|_| is_return),
            ..Detail::default()
        },
    })
}

/// What follows the key, up to the next one.
fn keyed(remittance: &str, key: &str) -> Option<String> {
    let (_, after) = remittance.split_once(key)?;
    let end = KEYS.iter().filter_map(|key| after.find(key)).min().unwrap_or(after.len());
    filled(&after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbered_parts_are_put_together_over_line_ends() {
        let purpose = parse(
            "166?00GUTSCHRIFT?109310?20EREF+PO-2026-\n11?21MREF+M1?22SVWZ+Invoice 4?23711 thanks?30BICX?31DE02120300000\n\
             000202051?32Anna Exam?33ple GmbH?34000",
        );
        assert_eq!(purpose.code.as_deref(), Some("166"));
        assert_eq!(purpose.booking_text.as_deref(), Some("GUTSCHRIFT"));
        assert_eq!(purpose.end_to_end_id.as_deref(), Some("PO-2026-11"));
        assert_eq!(purpose.detail.remittance.as_deref(), Some("Invoice 4711 thanks"));
        assert_eq!(purpose.detail.counterparty.as_deref(), Some("Anna Example GmbH"));
        assert_eq!(purpose.detail.counterparty_account.as_deref(), Some("DE02120300000000202051"));
        assert_eq!(purpose.detail.return_reason, None);
    }

    #[test]
    fn a_return_has_its_reason() {
        let purpose = parse("109?00RUECKLASTSCHRIFT?20Ref 1?34914");
        assert_eq!(purpose.detail.return_reason.as_deref(), Some("914"));
        assert_eq!(purpose.detail.remittance.as_deref(), Some("Ref 1"));
    }

    #[test]
    fn free_text_is_the_remittance() {
        for text in ["Payment for 3?20 days", "ab", "", "16?", "1234 houses", "Invoice\n17"] {
            let purpose = parse(text);
            assert_eq!(purpose.code, None, "{text:?}");
            assert_eq!(purpose.detail.remittance, filled(&text.replace('\n', " ")));
        }
        assert_eq!(parse("166?20why? because").detail.remittance.as_deref(), Some("why? because"));
    }
}

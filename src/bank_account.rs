//! Bank accounts as banks name them: IBAN, BIC, and the holder in the characters that every bank takes.
//!
//! They are personal data: [`BankAccount`] prints nothing of itself but what [`BankAccount::masked`] shows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Lengths of IBANs in the countries of SEPA, from the IBAN registry (ISO 13616, SWIFT release 99). Elsewhere 15 to 34.
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AL", 28),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("RS", 22),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("VA", 22),
];
const SHORTEST: usize = 15;
const LONGEST: usize = 34;
/// Longest name that every bank takes (the SEPA rulebooks).
const LONGEST_HOLDER: usize = 70;

/// Why text is no bank account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBankAccount {
    /// Not an IBAN: its form, its country's length or its check digits.
    #[error("must be an IBAN without spaces, with its check digits")]
    Iban,
    /// Not a BIC.
    #[error("must be a BIC of 8 or 11 characters")]
    Bic,
    /// A holder whose name cannot be written for a bank.
    #[error("must be 1 to 70 Latin letters, digits, spaces and / - ? : ( ) . , ' +")]
    Holder,
}

/// Where money is paid to, or from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankAccount {
    holder: String,
    iban: String,
    bic: Option<String>,
}

impl fmt::Debug for BankAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BankAccount({})", self.masked())
    }
}

impl BankAccount {
    /// Reads a bank account. Letters that banks do not take are written in those that they do, as German and French do it.
    ///
    /// # Errors
    /// [`BadBankAccount`].
    pub fn parse(holder: &str, iban: &str, bic: Option<&str>) -> Result<Self, BadBankAccount> {
        let holder = plain(holder.trim()).filter(|name| !name.is_empty() && name.len() <= LONGEST_HOLDER);
        let holder = holder.ok_or(BadBankAccount::Holder)?;
        if !is_iban(iban) {
            return Err(BadBankAccount::Iban);
        }
        if bic.is_some_and(|bic| !is_bic(bic)) {
            return Err(BadBankAccount::Bic);
        }
        Ok(Self { holder, iban: iban.to_owned(), bic: bic.map(str::to_owned) })
    }

    /// Whose it is, in the characters that every bank takes.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// The IBAN, without spaces.
    pub fn iban(&self) -> &str {
        &self.iban
    }

    /// The bank's BIC; none where the IBAN is enough.
    pub fn bic(&self) -> Option<&str> {
        self.bic.as_deref()
    }

    /// What may be shown: the country and the last four characters.
    pub fn masked(&self) -> String {
        format!("{}**{}", &self.iban[..2], &self.iban[self.iban.len() - 4..])
    }
}

/// Whether text is an IBAN in its electronic form: letters of the country, two check digits, the account, modulo 97 one (ISO
/// 13616).
fn is_iban(text: &str) -> bool {
    let upper = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !upper || !(SHORTEST..=LONGEST).contains(&text.len()) {
        return false;
    }
    let (head, account) = text.split_at(4);
    let (country, check) = head.split_at(2);
    let lawful =
        country.bytes().all(|byte| byte.is_ascii_uppercase()) && check.bytes().all(|byte| byte.is_ascii_digit());
    let length = LENGTHS.iter().find(|(code, _)| *code == country).map_or(text.len(), |(_, length)| *length);
    lawful && text.len() == length && remainder(account.bytes().chain(head.bytes())) == 1
}

/// The remainder modulo 97 of digits and letters, of which A counts 10 and Z 35.
fn remainder(characters: impl Iterator<Item = u8>) -> u32 {
    characters.fold(0, |left, byte| match byte {
        b'0'..=b'9' => (left * 10 + u32::from(byte - b'0')) % 97,
        _ => (left * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}

/// Whether text is a BIC (ISO 9362:2014): the institution, its country, the place, and a branch or none.
fn is_bic(text: &str) -> bool {
    let is_word = |part: &str| part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    matches!(text.len(), 8 | 11) && is_word(text) && text.as_bytes()[4..6].iter().all(u8::is_ascii_uppercase)
}

/// Text in the characters that every bank takes (EPC217-08); none if it has others that have no such spelling.
pub fn plain(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '/' | '-' | '?' | ':' | '(' | ')' | '.' | ',' | '\'' | '+' => {
                plain.push(character);
            }
            _ => plain.push_str(spelling(character)?),
        }
    }
    Some(plain)
}

/// How a letter of the languages of SEPA is written in plain ones.
fn spelling(character: char) -> Option<&'static str> {
    Some(match character {
        'À' | 'Á' | 'Â' | 'Ã' | 'Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'Ä' | 'Æ' => "Ae",
        'ä' | 'æ' => "ae",
        'Ç' | 'Ć' | 'Č' | 'Ċ' => "C",
        'ç' | 'ć' | 'č' | 'ċ' => "c",
        'Ď' | 'Đ' | 'Ð' => "D",
        'ď' | 'đ' | 'ð' => "d",
        'È' | 'É' | 'Ê' | 'Ë' | 'Ē' | 'Ė' | 'Ę' | 'Ě' => "E",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'Ğ' | 'Ģ' | 'Ġ' => "G",
        'ğ' | 'ģ' | 'ġ' => "g",
        'Ħ' => "H",
        'ħ' => "h",
        'Ì' | 'Í' | 'Î' | 'Ï' | 'Ī' | 'Į' | 'İ' => "I",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'Ķ' => "K",
        'ķ' => "k",
        'Ł' | 'Ĺ' | 'Ľ' | 'Ļ' => "L",
        'ł' | 'ĺ' | 'ľ' | 'ļ' => "l",
        'Ñ' | 'Ń' | 'Ň' | 'Ņ' => "N",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ő' | 'Ō' => "O",
        'ò' | 'ó' | 'ô' | 'õ' | 'ő' | 'ō' => "o",
        'Ö' | 'Ø' | 'Œ' => "Oe",
        'ö' | 'ø' | 'œ' => "oe",
        'Ŕ' | 'Ř' => "R",
        'ŕ' | 'ř' => "r",
        'Ś' | 'Š' | 'Ş' | 'Ș' => "S",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'Ť' | 'Ţ' | 'Ț' => "T",
        'ť' | 'ţ' | 'ț' => "t",
        'Þ' => "Th",
        'þ' => "th",
        'Ù' | 'Ú' | 'Û' | 'Ű' | 'Ů' | 'Ū' | 'Ų' => "U",
        'ù' | 'ú' | 'û' | 'ű' | 'ů' | 'ū' | 'ų' => "u",
        'Ü' => "Ue",
        'ü' => "ue",
        'Ý' | 'Ÿ' => "Y",
        'ý' | 'ÿ' => "y",
        'Ź' | 'Ż' | 'Ž' => "Z",
        'ź' | 'ż' | 'ž' => "z",
        '&' => "+",
        '’' => "'",
        '–' => "-",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_own_examples_are_read() {
        // From the IBAN registry (SWIFT, release 99): one for each form that differs.
        for iban in [
            "DE89370400440532013000",
            "BE68539007547034",
            "NL91ABNA0417164300",
            "FR1420041010050500013M02606",
            "GB29NWBK60161331926819",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "ES9121000418450200051332",
            "SA0380000000608010167519",
            "LC55HEMM000100010012001200023015",
        ] {
            assert!(is_iban(iban), "{iban}");
        }
    }

    #[test]
    fn a_digit_that_is_wrong_or_two_that_changed_places_are_seen() {
        let lawful = "DE89370400440532013000";
        for index in 2..lawful.len() {
            let mut wrong = lawful.as_bytes().to_vec();
            wrong[index] = if wrong[index] == b'9' { b'0' } else { wrong[index] + 1 };
            assert!(!is_iban(std::str::from_utf8(&wrong).expect("ASCII")), "{index}");
        }
        for bad in [
            "DE89370400440532010300",
            "DE8937040044053201300",
            "de89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "",
            "DE00",
            "8937040044053201300000",
            "XX00000000000000",
            "DE8937040044053201300É",
        ] {
            assert!(!is_iban(bad), "{bad}");
        }
        // Right by its check digits, and too long for its country.
        assert_eq!(remainder("370400440532013000".bytes().chain("DE89".bytes())), 1);
        let long = (0..100)
            .map(|check| format!("DE{check:02}37040044053201300000"))
            .find(|text| remainder(text[4..].bytes().chain(text[..4].bytes())) == 1);
        assert!(!is_iban(&long.expect("one of a hundred")));
    }

    #[test]
    fn a_bic_has_its_country() {
        for bic in ["COBADEFF", "COBADEFFXXX", "E097AEXXXXX"] {
            assert!(is_bic(bic), "{bic}");
        }
        for bad in ["COBADEF", "COBA1EFF", "cobadeff", "COBADEFFXX", "COBADEFFÉ"] {
            assert!(!is_bic(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_written_as_banks_take_them() {
        assert_eq!(plain("Müller & Söhne").as_deref(), Some("Mueller + Soehne"));
        assert_eq!(plain("Łódź, Groß’ Æther").as_deref(), Some("Lodz, Gross' Aether"));
        assert_eq!(plain("Ελλάδα"), None);
        assert_eq!(plain("<b>"), None);
        let read =
            |holder: &str| BankAccount::parse(holder, "DE89370400440532013000", None).map(|account| account.holder);
        assert_eq!(read(" Shop A "), Ok("Shop A".to_owned()));
        assert_eq!(read("  "), Err(BadBankAccount::Holder));
        assert_eq!(read(&"ä".repeat(36)), Err(BadBankAccount::Holder), "72 characters");
    }

    #[test]
    fn what_is_printed_of_an_account_is_masked() {
        let account = BankAccount::parse("Shop A", "DE89370400440532013000", Some("COBADEFF")).expect("lawful");
        assert_eq!((account.masked().as_str(), format!("{account:?}").as_str()), ("DE**3000", "BankAccount(DE**3000)"));
    }
}

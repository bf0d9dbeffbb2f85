//! Windows-1252, the only characters that every import of DATEV reads.

use encoding_rs::WINDOWS_1252;

use crate::Error;

/// The text in characters that Windows-1252 has: other Latin letters lose their marks, controls become spaces.
///
/// # Errors
/// [`Error::Character`] for what has no such spelling, as Cyrillic or an emoji.
pub(super) fn spelled(text: &str, row: u64, field: &'static str) -> Result<String, Error> {
    let mut spelled = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if character.is_control() => spelled.push(' '),
            _ if is_ansi(character) => spelled.push(character),
            _ => spelled.push_str(spelling(character).ok_or(Error::Character { row, field, character })?),
        }
    }
    Ok(spelled)
}

/// The bytes of a text.
///
/// # Errors
/// [`Error::Character`] for a character that Windows-1252 has not.
pub(super) fn encoded(text: &str, row: u64, field: &'static str) -> Result<Vec<u8>, Error> {
    let (bytes, _, lossy) = WINDOWS_1252.encode(text);
    if lossy {
        let character = text.chars().find(|&character| !is_ansi(character)).unwrap_or(char::REPLACEMENT_CHARACTER);
        return Err(Error::Character { row, field, character });
    }
    Ok(bytes.into_owned())
}

fn is_ansi(character: char) -> bool {
    let mut buffer = [0; 4];
    !WINDOWS_1252.encode(character.encode_utf8(&mut buffer)).2
}

/// Letters of European languages in Latin script that Windows-1252 has not, and marks of typography.
fn spelling(character: char) -> Option<&'static str> {
    let spelling = match character {
        'ā' | 'ă' | 'ą' | 'ǎ' => "a",
        'Ā' | 'Ă' | 'Ą' | 'Ǎ' => "A",
        'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'Ć' | 'Ĉ' | 'Ċ' | 'Č' => "C",
        'ď' | 'đ' => "d",
        'Ď' | 'Đ' => "D",
        'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'Ē' | 'Ĕ' | 'Ė' | 'Ę' | 'Ě' => "E",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'Ĝ' | 'Ğ' | 'Ġ' | 'Ģ' => "G",
        'ĥ' | 'ħ' => "h",
        'Ĥ' | 'Ħ' => "H",
        'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'Ĩ' | 'Ī' | 'Ĭ' | 'Į' | 'İ' => "I",
        'ĵ' => "j",
        'Ĵ' => "J",
        'ķ' => "k",
        'Ķ' => "K",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'Ĺ' | 'Ļ' | 'Ľ' | 'Ŀ' | 'Ł' => "L",
        'ń' | 'ņ' | 'ň' | 'ŋ' => "n",
        'Ń' | 'Ņ' | 'Ň' | 'Ŋ' => "N",
        'ō' | 'ŏ' => "o",
        'Ō' | 'Ŏ' => "O",
        'ő' => "ö",
        'Ő' => "Ö",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'Ŕ' | 'Ŗ' | 'Ř' => "R",
        'ś' | 'ŝ' | 'ş' | 'ș' => "s",
        'Ś' | 'Ŝ' | 'Ş' | 'Ș' => "S",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'Ţ' | 'Ť' | 'Ŧ' | 'Ț' => "T",
        'ũ' | 'ū' | 'ŭ' | 'ů' | 'ų' => "u",
        'Ũ' | 'Ū' | 'Ŭ' | 'Ů' | 'Ų' => "U",
        'ű' => "ü",
        'Ű' => "Ü",
        'ŵ' => "w",
        'Ŵ' => "W",
        'ŷ' => "y",
        'Ŷ' => "Y",
        'ź' | 'ż' => "z",
        'Ź' | 'Ż' => "Z",
        'ẞ' => "SS",
        '\u{2010}' | '\u{2011}' | '\u{2212}' => "-",
        '\u{2192}' => "->",
        '\u{2009}' | '\u{202f}' => " ",
        _ => return None,
    };
    Some(spelling)
}

//! The 125 columns of a booking, by the names that DATEV gives them.

/// How many there are.
pub(super) const COUNT: usize = 125;

pub(super) const AMOUNT: usize = 0;
pub(super) const SIDE: usize = 1;
pub(super) const CURRENCY: usize = 2;
pub(super) const ACCOUNT: usize = 6;
pub(super) const CONTRA_ACCOUNT: usize = 7;
pub(super) const DATE: usize = 9;
pub(super) const DOCUMENT: usize = 10;
pub(super) const TEXT: usize = 13;
pub(super) const FIXED: usize = 113;

const FIRST: [&str; 20] = [
    "Umsatz (ohne Soll/Haben-Kz)",
    "Soll/Haben-Kennzeichen",
    "WKZ Umsatz",
    "Kurs",
    "Basis-Umsatz",
    "WKZ Basis-Umsatz",
    "Konto",
    "Gegenkonto (ohne BU-Schlüssel)",
    "BU-Schlüssel",
    "Belegdatum",
    "Belegfeld 1",
    "Belegfeld 2",
    "Skonto",
    "Buchungstext",
    "Postensperre",
    "Diverse Adressnummer",
    "Geschäftspartnerbank",
    "Sachverhalt",
    "Zinssperre",
    "Beleglink",
];
const MIDDLE: [&str; 11] = [
    "KOST1 - Kostenstelle",
    "KOST2 - Kostenstelle",
    "Kost-Menge",
    "EU-Land u. UStID (Bestimmung)",
    "EU-Steuersatz (Bestimmung)",
    "Abw. Versteuerungsart",
    "Sachverhalt L+L",
    "Funktionsergänzung L+L",
    "BU 49 Hauptfunktionstyp",
    "BU 49 Hauptfunktionsnummer",
    "BU 49 Funktionsergänzung",
];
const LAST: [&str; 38] = [
    "Stück",
    "Gewicht",
    "Zahlweise",
    "Forderungsart",
    "Veranlagungsjahr",
    "Zugeordnete Fälligkeit",
    "Skontotyp",
    "Auftragsnummer",
    "Buchungstyp",
    "USt-Schlüssel (Anzahlungen)",
    "EU-Land (Anzahlungen)",
    "Sachverhalt L+L (Anzahlungen)",
    "EU-Steuersatz (Anzahlungen)",
    "Erlöskonto (Anzahlungen)",
    "Herkunft-Kz",
    "Buchungs GUID",
    "KOST-Datum",
    "SEPA-Mandatsreferenz",
    "Skontosperre",
    "Gesellschaftername",
    "Beteiligtennummer",
    "Identifikationsnummer",
    "Zeichnernummer",
    "Postensperre bis",
    "Bezeichnung SoBil-Sachverhalt",
    "Kennzeichen SoBil-Buchung",
    "Festschreibung",
    "Leistungsdatum",
    "Datum Zuord. Steuerperiode",
    "Fälligkeit",
    "Generalumkehr (GU)",
    "Steuersatz",
    "Land",
    "Abrechnungsreferenz",
    "BVV-Position",
    "EU-Land u. UStID (Ursprung)",
    "EU-Steuersatz (Ursprung)",
    "Abw. Skontokonto",
];

/// All names, in order; the irregular space before some hyphens is DATEV's.
pub(super) fn names() -> Vec<String> {
    let first = FIRST.map(str::to_owned).into_iter();
    let documents = (1..=8).flat_map(|n| [format!("Beleginfo - Art {n}"), format!("Beleginfo - Inhalt {n}")]);
    let middle = MIDDLE.map(str::to_owned);
    let more =
        (1..=20).flat_map(|n| [format!("Zusatzinformation - Art {n}"), format!("Zusatzinformation- Inhalt {n}")]);
    first.chain(documents).chain(middle).chain(more).chain(LAST.map(str::to_owned)).collect()
}

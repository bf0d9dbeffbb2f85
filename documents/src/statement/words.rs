//! The words on a statement, in each language.

use super::{Language, LineKind};

/// The words that stand on every statement.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) period: &'static str,
    pub(super) seller_id: &'static str,
    pub(super) currency: &'static str,
    pub(super) position: &'static str,
    pub(super) timezone: &'static str,
    pub(super) summary: &'static str,
    pub(super) kind: &'static str,
    pub(super) number: &'static str,
    pub(super) amount: &'static str,
    pub(super) opening: &'static str,
    pub(super) closing: &'static str,
    pub(super) movements: &'static str,
    pub(super) none: &'static str,
    pub(super) date: &'static str,
    pub(super) description: &'static str,
    pub(super) balance: &'static str,
    pub(super) carried_forward: &'static str,
    pub(super) brought_forward: &'static str,
    pub(super) held: &'static str,
    pub(super) page: &'static str,
    pub(super) of: &'static str,
}

impl Language {
    pub(super) fn words(self) -> &'static Words {
        self.pick(&GERMAN, &FRENCH, &ENGLISH)
    }

    pub(super) fn kind(self, kind: LineKind) -> &'static str {
        match kind {
            LineKind::Sale => self.pick("Verkauf", "Vente", "Sale"),
            LineKind::Refund => self.pick("Erstattung", "Remboursement", "Refund"),
            LineKind::Dispute => self.pick("Zahlungsanfechtung", "Litige", "Dispute"),
            LineKind::Commission => self.pick("Provision", "Commission", "Commission"),
            LineKind::Vat => self.pick("Umsatzsteuer auf Provision", "TVA sur la commission", "VAT on commission"),
            LineKind::Fee => self.pick("Gebühr", "Frais", "Fee"),
            LineKind::Reserve => self.pick("Sicherheitseinbehalt", "Retenue de garantie", "Reserve"),
            LineKind::Adjustment => self.pick("Korrektur", "Régularisation", "Adjustment"),
            LineKind::Debt => self.pick("Forderung", "Créance", "Debt"),
            LineKind::Payout => self.pick("Auszahlung", "Versement", "Payout"),
        }
    }
}

const GERMAN: Words = Words {
    title: "Kontoauszug",
    period: "Zeitraum",
    seller_id: "Verkäufernummer",
    currency: "Währung",
    position: "Stand des Hauptbuchs",
    timezone: "Zeitzone",
    summary: "Zusammenfassung",
    kind: "Art",
    number: "Anzahl",
    amount: "Betrag",
    opening: "Anfangssaldo",
    closing: "Endsaldo",
    movements: "Bewegungen",
    none: "Keine Bewegungen in diesem Zeitraum.",
    date: "Datum",
    description: "Beschreibung",
    balance: "Saldo",
    carried_forward: "Übertrag auf die nächste Seite",
    brought_forward: "Übertrag von der vorigen Seite",
    held: "Noch nicht ausgezahlt",
    page: "Seite",
    of: "von",
};

const FRENCH: Words = Words {
    title: "Relevé de compte",
    period: "Période",
    seller_id: "Numéro de vendeur",
    currency: "Devise",
    position: "Position du grand livre",
    timezone: "Fuseau horaire",
    summary: "Récapitulatif",
    kind: "Nature",
    number: "Nombre",
    amount: "Montant",
    opening: "Solde initial",
    closing: "Solde final",
    movements: "Mouvements",
    none: "Aucun mouvement pendant cette période.",
    date: "Date",
    description: "Libellé",
    balance: "Solde",
    carried_forward: "À reporter",
    brought_forward: "Report",
    held: "Pas encore versé",
    page: "Page",
    of: "sur",
};

const ENGLISH: Words = Words {
    title: "Account statement",
    period: "Period",
    seller_id: "Seller number",
    currency: "Currency",
    position: "Ledger position",
    timezone: "Time zone",
    summary: "Summary",
    kind: "Kind",
    number: "Number",
    amount: "Amount",
    opening: "Opening balance",
    closing: "Closing balance",
    movements: "Movements",
    none: "No movements in this period.",
    date: "Date",
    description: "Description",
    balance: "Balance",
    carried_forward: "Carried forward",
    brought_forward: "Brought forward",
    held: "Not paid out yet",
    page: "Page",
    of: "of",
};

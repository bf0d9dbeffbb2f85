//! A tiny writer of statements, so that what is read can be compared with what was meant.

use std::fmt::Write;

/// An entry as it is meant.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    /// Minor units, signed.
    pub(crate) amount: i64,
    /// Day of November 2026.
    pub(crate) day: u8,
    pub(crate) reference: String,
    pub(crate) text: String,
}

fn decimal(minor: i64, mark: char) -> String {
    let absolute = minor.unsigned_abs();
    format!("{}{mark}{:02}", absolute / 100, absolute % 100)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// camt.053.001.02 or .08 of one account in euro.
pub(crate) fn camt(version: &str, opening: i64, entries: &[Meant]) -> String {
    let closing = opening + entries.iter().map(|entry| entry.amount).sum::<i64>();
    let side = |amount: i64| if amount < 0 { "DBIT" } else { "CRDT" };
    let mut text = format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}\"><BkToCstmrStmt><Stmt><Id>S</Id>\
         <Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy></Acct>\n"
    );
    for (code, balance) in [("OPBD", opening), ("CLBD", closing)] {
        let (amount, side) = (decimal(balance, '.'), side(balance));
        let _ = writeln!(
            text,
            "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd></Bal>"
        );
    }
    let status = if version == "02" { "<Sts>BOOK</Sts>" } else { "<Sts><Cd>BOOK</Cd></Sts>" };
    for entry in entries {
        let (amount, side) = (decimal(entry.amount, '.'), side(entry.amount));
        let (reference, remittance) = (escaped(&entry.reference), escaped(&entry.text));
        let _ = writeln!(
            text,
            "<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{status}<BookgDt><Dt>2026-11-{:02}</Dt></BookgDt>\
             <AcctSvcrRef>{reference}</AcctSvcrRef><NtryDtls><TxDtls><RmtInf><Ustrd>{remittance}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>",
            entry.day
        );
    }
    text.push_str("</Stmt></BkToCstmrStmt></Document>\n");
    text
}

/// MT940 of one account in euro; references and texts have to be of SWIFT's letters.
pub(crate) fn mt940(opening: i64, entries: &[Meant]) -> String {
    let closing = opening + entries.iter().map(|entry| entry.amount).sum::<i64>();
    let side = |amount: i64| if amount < 0 { "D" } else { "C" };
    let balance =
        |tag: &str, day: u8, amount: i64| format!(":{tag}:{}2611{day:02}EUR{}\n", side(amount), decimal(amount, ','));
    let mut text = format!(":20:S\n:25:DE02120300000000202051\n:28C:1/1\n{}", balance("60F", 1, opening));
    for entry in entries {
        let (day, amount, reference) = (entry.day, decimal(entry.amount, ','), &entry.reference);
        let _ = write!(
            text,
            ":61:2611{day:02}11{day:02}{}{amount}NTRFNONREF//{reference}\n:86:{}\n",
            side(entry.amount),
            entry.text
        );
    }
    text + &balance("62F", 30, closing) + "-\n"
}

/// CSV with a sign, a comma as decimal mark and quotes around texts.
pub(crate) fn csv(entries: &[Meant]) -> String {
    let mut text = "day;amount;reference;text\n".to_owned();
    for entry in entries {
        let sign = if entry.amount < 0 { "-" } else { "" };
        let quoted = |text: &str| text.replace('"', "\"\"");
        let _ = writeln!(
            text,
            "{:02}.11.2026;{sign}{};\"{}\";\"{}\"",
            entry.day,
            decimal(entry.amount, ','),
            quoted(&entry.reference),
            quoted(&entry.text)
        );
    }
    text
}

//! A large file costs no more memory than its identities: measured as the most that the process ever held.

use std::io::{self, Read};

use partita_statements::{Options, Part, read};

/// camt.053 with this many entries, written while it is read.
struct Large {
    entries: u32,
    written: u32,
    pending: io::Cursor<Vec<u8>>,
}

impl Large {
    fn new(entries: u32) -> Self {
        let balance = |code: &str, amount: u32| {
            format!(
                "<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>"
            )
        };
        let start = format!(
            "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08\"><BkToCstmrStmt><Stmt><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id></Acct>{}{}",
            balance("OPBD", 0),
            balance("CLBD", entries)
        );
        Self { entries, written: 0, pending: io::Cursor::new(start.into_bytes()) }
    }
}

impl Read for Large {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.pending.read(into)?;
        if read > 0 || self.written > self.entries {
            return Ok(read);
        }
        let next = if self.written == self.entries {
            "</Stmt></BkToCstmrStmt></Document>".to_owned()
        } else {
            format!(
                "<Ntry><Amt Ccy=\"EUR\">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-11-27</Dt></BookgDt><AcctSvcrRef>R{}</AcctSvcrRef></Ntry>\n",
                self.written
            )
        };
        self.written += 1;
        self.pending = io::Cursor::new(next.into_bytes());
        self.pending.read(into)
    }
}

/// The most memory the process ever held, in KiB.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

fn grown_by_reading(entries: u32) -> Option<u64> {
    let before = peak_kib()?;
    let mut seen = 0_u32;
    let file = read(Large::new(entries), &Options::default(), &mut |part| {
        if matches!(part, Part::Entry(_)) {
            seen += 1;
        }
    });
    assert_eq!((file.expect("a file that is right").entries, seen), (u64::from(entries), entries));
    Some(peak_kib()?.saturating_sub(before))
}

#[test]
fn fifty_thousand_entries_fit_into_four_megabytes() {
    if let Some(grown) = grown_by_reading(50_000) {
        assert!(grown < 4 * 1024, "{grown} KiB");
    }
}

#[test]
#[ignore = "a minute unless optimised: cargo test --release -p partita-statements -- --ignored"]
fn a_million_entries_fit_into_a_hundred_megabytes() {
    if let Some(grown) = grown_by_reading(1_000_000) {
        assert!(grown < 100 * 1024, "{grown} KiB");
    }
}

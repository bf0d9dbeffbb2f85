//! partita-ledger

//! partita-db

//! partita-postgres

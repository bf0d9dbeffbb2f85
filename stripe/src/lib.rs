//! partita-stripe

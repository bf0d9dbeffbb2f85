//! Partita.

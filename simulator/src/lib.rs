//! partita-simulator

//! Partita.
fn main() {}

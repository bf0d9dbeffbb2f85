//! Points at which a test has the process die, between any two steps that must survive it. Without the feature
//! `failpoints` they are nothing.
//!
//! `FAILPOINTS='after_call=2*off->1*return' partita serve` dies when the point `after_call` is passed for the third time
//! (see the crate `fail` for the grammar; whatever is returned, the process aborts).

/// A point that the process may die at.
#[cfg(feature = "failpoints")]
pub fn point(name: &str) {
    fn die(_: Option<String>) {
        std::process::abort();
    }
    fail::fail_point!(name, die);
}

/// A point that the process may die at.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn point(_: &str) {}

/// Reads from the environment which points are armed; to be kept for as long as they shall be.
#[cfg(feature = "failpoints")]
pub fn arm() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}

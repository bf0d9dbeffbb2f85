//! Points at which a test has the process die, between any two steps that must survive it. Without the feature
//! `failpoints` they are nothing.
//!
//! `FAILPOINTS='after_call=2*off->1*return' partita serve` dies when the point `after_call` is passed for the third time
//! (see the crate `fail` for the grammar; whatever is returned, the process aborts). Where a point is passed for different
//! kinds of things it can be named with one of them: `after_call/create_refund`. `1*sleep(50000)` has whoever passes it
//! stand still instead.

/// A point that the process may die at.
#[cfg(feature = "failpoints")]
pub fn point(name: &str) {
    fail::fail_point!(name, |_: Option<String>| {
        tracing::error!(point = name, "dies here, as it was told to");
        std::process::abort()
    });
}

/// A point that the process may die at.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn point(_: &str) {}

/// A point that is passed for things of these kinds.
#[cfg(feature = "failpoints")]
pub fn point_of<'a>(name: &str, kinds: impl IntoIterator<Item = &'a str>) {
    point(name);
    for kind in kinds {
        point(&format!("{name}/{kind}"));
    }
}

/// A point that is passed for things of these kinds.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn point_of<'a>(_: &str, _: impl IntoIterator<Item = &'a str>) {}

/// Reads from the environment which points are armed; to be kept for as long as they shall be.
#[cfg(feature = "failpoints")]
pub fn arm() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}

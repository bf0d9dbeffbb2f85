//! Sending webhooks to addresses that strangers chose.
//!
//! 1. [`Destination::parse`] refuses what can be told from the address: another scheme or port, user names, local names,
//!    and numbers that are no public address, in any notation.
//! 2. [`Courier::send`] resolves the name and dials allowed addresses only, once, without redirects.
//! 3. [`schedule::verdict`] says what the answer means and [`schedule::delay_after`] when to try again.
//!
//! Invariants:
//! - No connection is opened to an address that [`EgressPolicy::check`] refuses, whatever a name resolved to before.
//! - The signature is over the bytes that are sent; each attempt has its own time, all attempts of a message its one id.

pub mod courier;
pub mod destination;
pub mod schedule;
pub mod special_addresses;

pub use courier::{Answer, Courier, Lookup, Parcel, SendError, SystemLookup};
pub use destination::{Destination, DestinationError, EgressPolicy, Refused, Way};

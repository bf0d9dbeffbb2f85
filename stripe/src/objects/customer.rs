//! Buyers who come again.

use partita_provider::Customer;

use super::metadata;

/// A customer.
pub(crate) fn customer(theirs: &stripe_shared::Customer) -> Customer {
    Customer { id: theirs.id.to_string(), metadata: theirs.metadata.as_ref().map(metadata).unwrap_or_default() }
}

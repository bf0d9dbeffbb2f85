//! What ties a provider's object to our operation and object.

use std::collections::BTreeMap;

use crate::id::OperationId;

/// The metadata key by which the provider's objects name the operation that made them.
pub const METADATA_OPERATION: &str = "op_id";
/// The metadata key by which the provider's objects name ours.
pub const METADATA_OBJECT: &str = "partita_object";

/// The metadata that ties a provider's object to our operation and object.
pub fn metadata(operation: OperationId, object: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (METADATA_OPERATION.to_owned(), operation.to_string()),
        (METADATA_OBJECT.to_owned(), object.to_owned()),
    ])
}

//! The contract, made from the handlers and their types.

/// The contract as YAML, as it stands in `openapi.yaml`.
pub fn openapi_yaml() -> String {
    super::router::contract().to_yaml().expect("the contract is texts, numbers and maps")
}

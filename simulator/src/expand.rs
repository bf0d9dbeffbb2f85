//! `expand`: ids replaced by what they name (docs.stripe.com/api/expanding_objects).

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::context::Cx;
use crate::error::ApiError;
use crate::resources::balance_transactions;
use crate::store;

/// The deepest path that Stripe follows.
const DEEPEST: usize = 4;

/// Fields that hold an id which can be replaced.
const EXPANDABLE: [&str; 18] = [
    "application_fee",
    "balance_transaction",
    "charge",
    "customer",
    "destination",
    "destination_payment",
    "destination_payment_refund",
    "failure_balance_transaction",
    "latest_charge",
    "payment_intent",
    "payment_method",
    "source",
    "source_refund",
    "source_transaction",
    "source_transfer",
    "source_transfer_reversal",
    "transfer",
    "transfer_reversal",
];

/// Fields that an object shows only once they have a value.
const ABSENT_AT_FIRST: [&str; 2] = ["failure_balance_transaction", "transfer"];

/// Fields that hold lists which are always there; asking for them changes nothing, asking through them does.
const LISTS: [&str; 6] = ["data", "external_accounts", "instant_available", "net_available", "refunds", "reversals"];

/// Replaces the ids at the given paths.
pub(crate) async fn apply(cx: &mut Cx, object: &mut Value, paths: &[String]) -> Result<(), ApiError> {
    for path in paths {
        let steps: Vec<&str> = path.split('.').collect();
        let depth = if steps.first() == Some(&"data") { DEEPEST + 1 } else { DEEPEST };
        if steps.len() > depth {
            return Err(ApiError::invalid(format!(
                "You cannot expand more than {DEEPEST} levels of a property. Property: {path}"
            ))
            .param("expand"));
        }
        follow(cx, object, &steps, path).await?;
    }
    Ok(())
}

fn follow<'f>(
    cx: &'f mut Cx,
    at: &'f mut Value,
    steps: &'f [&'f str],
    path: &'f str,
) -> BoxFuture<'f, Result<(), ApiError>> {
    async move {
        let Some((step, rest)) = steps.split_first() else { return Ok(()) };
        let refused = || ApiError::invalid(format!("This property cannot be expanded ({path}).")).param("expand");
        let known = EXPANDABLE.contains(step) || LISTS.contains(step);
        let Some(field) = at.get_mut(*step).filter(|_| known) else {
            return if ABSENT_AT_FIRST.contains(step) { Ok(()) } else { Err(refused()) };
        };
        if let Value::String(id) = &*field {
            *field = load(cx, id).await?.ok_or_else(refused)?;
        }
        match field {
            Value::Null => Ok(()),
            Value::Array(items) => {
                for item in items {
                    follow(cx, item, rest, path).await?;
                }
                Ok(())
            }
            field => follow(cx, field, rest, path).await,
        }
    }
    .boxed()
}

async fn load(cx: &mut Cx, id: &str) -> Result<Option<Value>, ApiError> {
    if id.starts_with("txn_") {
        return balance_transactions::find(&mut cx.conn, id).await;
    }
    match store::find_any(&mut cx.conn, id).await? {
        Some((_, object)) => store::with_children(&mut cx.conn, object).await.map(Some),
        None => Ok(None),
    }
}

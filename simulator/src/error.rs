//! Errors as Stripe tells them (docs.stripe.com/api/errors).

use serde_json::{Map, Value, json};

/// What an error means for the idempotency key of its request (docs.stripe.com/api/idempotent_requests).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Parameters did not validate: nothing ran, the key stays free.
    Validation,
    /// The endpoint ran and refused: effects are undone, the answer is kept under the key.
    Execution,
    /// The endpoint ran, refused, and left something behind (a failed charge): effects and answer are kept.
    Committed,
}

/// An answer that is not a success.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) decline_code: Option<&'static str>,
    pub(crate) param: Option<String>,
    pub(crate) message: String,
    pub(crate) stage: Stage,
    /// Objects that the error carries (`payment_intent`, `charge`, `payment_method`).
    pub(crate) extra: Box<Map<String, Value>>,
    /// The database asked for the whole transaction to be tried again.
    pub(crate) retryable: bool,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, stage: Stage, message: String) -> Self {
        Self {
            status,
            kind,
            code: None,
            decline_code: None,
            param: None,
            message,
            stage,
            extra: Box::default(),
            retryable: false,
        }
    }

    /// A parameter that does not validate.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", Stage::Validation, message.into())
    }

    /// A lawful request that the endpoint refuses.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", Stage::Execution, message.into())
    }

    /// An object named in the path that does not exist for this account.
    pub(crate) fn no_such(what: &str, id: &str) -> Self {
        let mut error = Self::refused(format!("No such {what}: '{id}'")).code("resource_missing").param("id");
        error.status = 404;
        error
    }

    /// An object named in a parameter that does not exist for this account.
    pub(crate) fn no_such_param(what: &str, id: &str, param: &str) -> Self {
        Self::refused(format!("No such {what}: '{id}'")).code("resource_missing").param(param)
    }

    /// A refusal by the card's issuer.
    pub(crate) fn card(code: &'static str, message: &str) -> Self {
        Self::new(402, "card_error", Stage::Committed, message.to_owned()).code(code)
    }

    /// The reused key came with other parameters.
    pub(crate) fn idempotency(message: impl Into<String>) -> Self {
        Self::new(400, "idempotency_error", Stage::Validation, message.into())
    }

    /// Something went wrong at the provider.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "api_error", Stage::Execution, message.into())
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn decline(mut self, code: Option<&'static str>) -> Self {
        self.decline_code = code;
        self
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.extra.insert(name.to_owned(), value);
        self
    }

    /// The fields of the `error` object that do not depend on the request; also `last_payment_error` of an intent.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let mut fields = (*self.extra).clone();
        fields.insert("type".into(), json!(self.kind));
        fields.insert("message".into(), json!(self.message));
        if let Some(code) = self.code {
            fields.insert("code".into(), json!(code));
            fields.insert(
                "doc_url".into(),
                json!(format!("https://docs.stripe.com/error-codes#{}", code.replace('_', "-"))),
            );
        }
        if let Some(code) = self.decline_code {
            fields.insert("decline_code".into(), json!(code));
        }
        if let Some(param) = &self.param {
            fields.insert("param".into(), json!(param));
        }
        fields
    }

    /// The answer's body.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let mut fields = self.fields();
        fields.insert(
            "request_log_url".into(),
            json!(format!("https://dashboard.stripe.com/test/logs/{request_id}?t=0")),
        );
        json!({ "error": fields })
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
        let retryable = matches!(code.as_deref(), Some("40001" | "40P01" | "55P03"));
        if !retryable {
            tracing::error!(error = %error, "the simulator's database refused a statement");
        }
        let mut answer = Self::internal("An unknown error occurred.");
        answer.retryable = retryable;
        answer
    }
}

//! Which events an endpoint gets.

use crate::outbox::{EVENT_TYPES, is_event_type};

/// What one entry of the list of events stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter<'a> {
    /// `*`
    Everything,
    /// `payment.*`, without its `*`.
    Resource(&'a str),
    /// `payment.succeeded`
    Type(&'a str),
}

impl<'a> Filter<'a> {
    fn read(text: &'a str) -> Self {
        match text.strip_suffix('*') {
            Some("") => Self::Everything,
            Some(resource) => Self::Resource(resource),
            None => Self::Type(text),
        }
    }
}

/// Whether an entry stands for any event that there is.
pub(super) fn is_filter(text: &str) -> bool {
    match Filter::read(text) {
        Filter::Everything => true,
        Filter::Resource(resource) => {
            resource.ends_with('.') && EVENT_TYPES.iter().any(|known| known.name.starts_with(resource))
        }
        Filter::Type(name) => is_event_type(name),
    }
}

/// Whether one of the entries stands for this type.
pub(super) fn wants(filters: &[String], event_type: &str) -> bool {
    filters.iter().any(|filter| match Filter::read(filter) {
        Filter::Everything => true,
        Filter::Resource(resource) => event_type.starts_with(resource),
        Filter::Type(name) => event_type == name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_everything_a_resource_or_a_type() {
        for good in ["*", "payment.*", "payment.succeeded", "webhook_endpoint.disabled", "top_up.*"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", ".*", "payment", "pay*", "payment*", "payment.", "payment.exploded", "*.succeeded", "Payment.*"]
        {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_gets_what_one_of_its_entries_stands_for() {
        let wants = |filters: &[&str], name: &str| {
            let filters: Vec<_> = filters.iter().map(ToString::to_string).collect();
            super::wants(&filters, name)
        };
        assert!(wants(&["payment.*"], "payment.succeeded"));
        assert!(!wants(&["payment.*"], "payout.paid"));
        assert!(wants(&["refund.failed", "payment.succeeded"], "payment.succeeded"));
        assert!(!wants(&["payment.succeeded"], "payment.failed"));
        assert!(wants(&["*"], "seller.created"));
        assert!(!wants(&[], "seller.created"));
    }
}

//! Which of our movements each page of the provider's list should have shown. Pure, so that nothing has to be written
//! down for movements that agree, and nothing kept in memory but the last second of a page.

use std::collections::BTreeSet;

use jiff::Timestamp;
use partita_provider::BalanceTransaction;
use serde::{Deserialize, Serialize};

/// The oldest second that the pages so far reach down to, and what they showed of it: the next page may go on with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Edge {
    second: Option<i64>,
    ids: Vec<String>,
}

/// A span of time that the provider's list is through with, and everything that it showed in and around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// Later than this.
    pub(super) after: Timestamp,
    /// Until this.
    pub(super) until: Timestamp,
    /// The provider's ids.
    pub(super) shown: Vec<String>,
}

impl Edge {
    /// Takes the next page of a list, newest first, that goes back to `from`; what it is through with now. The oldest
    /// second of a page is through with the next one only.
    pub(super) fn take(&mut self, page: &[BalanceTransaction], is_last: bool, from: Option<i64>) -> Span {
        let oldest = page.iter().map(|movement| movement.created).chain(self.second).min();
        let until = self.second.map_or(Timestamp::MAX, second);
        let after = if is_last { second(from.unwrap_or(0).saturating_sub(1)) } else { oldest.map_or(until, second) };
        let shown: BTreeSet<&str> =
            page.iter().map(|movement| movement.id.as_str()).chain(self.ids.iter().map(String::as_str)).collect();
        let span = Span { after, until, shown: shown.into_iter().map(ToOwned::to_owned).collect() };
        if self.second != oldest {
            self.ids.clear();
        }
        self.ids.extend(
            page.iter().filter(|movement| Some(movement.created) == oldest).map(|movement| movement.id.clone()),
        );
        self.second = oldest;
        span
    }
}

/// Out of range: as far as times go.
fn second(second: i64) -> Timestamp {
    crate::clock::from_seconds(second).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use partita_provider::{Currency, SettlementState};

    use super::*;

    fn movement(id: &str, created: i64) -> BalanceTransaction {
        BalanceTransaction {
            id: id.to_owned(),
            kind: "charge".to_owned(),
            amount: 1,
            fee: 0,
            net: 1,
            currency: Currency::parse("EUR").expect("a currency"),
            state: SettlementState::Available,
            available_on: created,
            created,
            source: None,
            description: None,
            exchange_rate: None,
        }
    }

    fn span(after: Timestamp, until: Timestamp, shown: &[&str]) -> Span {
        Span { after, until, shown: shown.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_page_is_through_with_all_but_its_oldest_second() {
        let mut edge = Edge::default();
        let first = edge.take(&[movement("e", 9), movement("d", 8), movement("c", 8)], false, Some(3));
        assert_eq!(first, span(second(8), Timestamp::MAX, &["c", "d", "e"]));
        let next = edge.take(&[movement("b", 8), movement("a", 5)], true, Some(3));
        assert_eq!(next, span(second(2), second(8), &["a", "b", "c", "d"]));
    }

    #[test]
    fn a_second_that_fills_pages_is_through_when_the_next_begins() {
        let mut edge = Edge::default();
        edge.take(&[movement("d", 8)], false, None);
        let same = edge.take(&[movement("c", 8)], false, None);
        assert_eq!((same.after, same.until), (second(8), second(8)), "nothing yet");
        let next = edge.take(&[movement("b", 7)], false, None);
        assert_eq!(next, span(second(7), second(8), &["b", "c", "d"]));
        assert_eq!(edge, Edge { second: Some(7), ids: vec!["b".to_owned()] });
    }

    #[test]
    fn an_empty_list_is_through_with_everything_it_goes_back_to() {
        assert_eq!(Edge::default().take(&[], true, Some(3)), span(second(2), Timestamp::MAX, &[]));
        assert_eq!(Edge::default().take(&[], true, None), span(second(-1), Timestamp::MAX, &[]));
    }
}

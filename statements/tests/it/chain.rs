//! Statements that follow one another, and those that do not.

use partita_statements::{ChainBreak, Statement, check_chain};

use crate::reader::whole;

/// A statement of MT940: number and page, day of November, opening and closing balance in whole euros.
fn statement(number: &str, day: u8, opening: i64, closing: i64) -> Statement {
    let change = closing - opening;
    let side = if change < 0 { "D" } else { "C" };
    let text = format!(
        ":20:S\n:25:DE02120300000000202051\n:28C:{number}\n:60F:C2611{day:02}EUR{opening},\n\
         :61:2611{day:02}{side}{},NTRFNONREF\n:62F:C2611{day:02}EUR{closing},\n",
        change.abs()
    );
    whole(&text).statements.remove(0)
}

#[test]
fn statements_that_follow_are_a_chain_in_whatever_order_they_come() {
    let days = [statement("2/1", 2, 12, 7), statement("1/1", 1, 10, 12), statement("3/1", 3, 7, 7)];
    assert_eq!(check_chain(&days), []);
    let pages = [statement("4/1", 4, 7, 9), statement("4/2", 4, 9, 8), statement("5/1", 5, 8, 1)];
    assert_eq!(check_chain(&pages), []);
    assert_eq!(
        check_chain(&[statement("366/1", 30, 1, 2), statement("1/1", 30, 2, 3)].map(|mut statement| {
            // The year turns.
            if statement.sequence == Some(1) {
                statement.closing = statement.closing.map(|mut balance| {
                    balance.date = balance.date.and_then(|date| date.tomorrow().ok());
                    balance
                });
            }
            statement
        })),
        []
    );
}

#[test]
fn gaps_missing_numbers_and_repeats_are_named() {
    let first = statement("1/1", 1, 10, 12);
    let third = statement("3/1", 3, 7, 8);
    let breaks = check_chain(&[first.clone(), third.clone()]);
    let gap = ChainBreak::Gap { before: 0, after: 1, closing: 12_00, opening: 7_00 };
    assert_eq!(breaks, [gap, ChainBreak::Number { before: 0, after: 1, expected: 2, found: 3 }]);
    let again = check_chain(&[first.clone(), statement("2/1", 2, 12, 7), third, first.clone()]);
    assert_eq!(again, [ChainBreak::Repeated { first: 0, again: 3 }]);
    let page = check_chain(&[first.clone(), statement("1/3", 1, 12, 13)]);
    assert_eq!(page, [ChainBreak::Number { before: 0, after: 1, expected: 2, found: 3 }]);
}

#[test]
fn accounts_and_currencies_have_chains_of_their_own() {
    let first = statement("1/1", 1, 10, 12);
    let other = Statement { account: "other".to_owned(), ..statement("7/1", 2, 3, 4) };
    let dollars = Statement { currency: "USD".parse().expect("a currency"), ..statement("8/1", 2, 5, 6) };
    let unknown = Statement { opening: None, ..statement("9/1", 2, 6, 7) };
    assert_eq!(check_chain(&[first, other, dollars, unknown]), []);
}

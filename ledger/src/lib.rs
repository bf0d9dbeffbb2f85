//! Double entry on Postgres. Knows accounts, postings and time; knows nothing of payments, providers or HTTP.
//!
//! Invariants, kept by the shape of the rows, by the database and by [`verify`]:
//!
//! 1. **Every transaction balances, per currency.** A posting is one row with both sides and one amount; the book and
//!    the currency stand in the account's key and a constraint demands that both sides agree.
//! 2. **Nothing is changed.** Transactions, postings and refusals are append-only; a mistake is [`reverse`]d.
//! 3. **One source, one transaction.** A source that comes again is answered with the first one
//!    ([`PostOutcome::Replayed`]).
//! 4. **A balance is the sum of its postings**, exactly, in the same database transaction.
//! 5. **What respects the floors never passes one**, whoever posts at the same time.
//! 6. **What is held counts against the floor**, and is captured, voided or expired once.
//! 7. **Positions follow commit order**, and each lane is a chain of hashes over its rows.
//!
//! The write path is one call, [`post`], for a slice of transactions of any number, inside the caller's database
//! transaction and as its last statement:
//!
//! 1. take a free lane of the book (wait for one if none is free);
//! 2. write transactions and postings, then add to the balance rows of the accounts, in order of key;
//! 3. if anything is not plain, undo that and decide transaction by transaction, in the order of the slice: posted,
//!    replayed or refused. A refusal is data, not an error;
//! 4. extend the lane's chain and advance its position.
//!
//! The lane and the balance rows stay locked until the caller commits.

mod account;
mod anchor;
mod balance;
mod chain;
mod error;
mod history;
mod hold;
mod key;
mod ledger;
mod outcome;
mod position;
mod store;
mod transaction;
mod verification;
mod violation;

pub use crate::{
    account::{AccountClass, AccountFilter, AccountView, NewAccount, NormalSide},
    anchor::{Anchor, AnchoredLane, ParseAnchorError},
    balance::{Balance, TrialBalanceRow},
    error::LedgerError,
    history::{Period, PostingView, TransactionFilter, TransactionView},
    hold::{
        Availability, ExpireProgress, HoldEnd, HoldOutcome, HoldRefusal, HoldView, NewCapture, NewHold, VoidOutcome,
    },
    key::AccountKey,
    ledger::{Ledger, LedgerOptions},
    outcome::{PostOutcome, PostRefusal},
    position::{ParsePositionError, Position, PositionVector},
    store::{
        accounts::{LANES, list_accounts, open_accounts, open_book},
        anchors::{last_anchor, take_anchor},
        balances::{balance_at, balances, current_position, trial_balance},
        days::{RollProgress, roll_day_balances},
        history::{find_transaction, list_transactions, postings_by_subject, transactions_by_source},
        holds::{availability, expire_holds, find_hold, list_open_holds, place_holds, set_hold_in_use, void_hold},
        posting::{capture, post, reverse},
        verify::{record_verified, verify, verify_against, verify_new},
    },
    transaction::{Floors, Malformed, NewPosting, NewReversal, NewTransaction},
    verification::{LaneStretch, Verification},
    violation::Violation,
};

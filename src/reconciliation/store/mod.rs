pub(super) mod breaks;
pub(super) mod ledger;
pub(super) mod runs;
pub(super) mod tasks;

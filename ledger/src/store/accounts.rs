//! Opening books and accounts, and listing accounts.

use jiff_sqlx::Timestamp;
use partita_db::{BookId, Tx};

use crate::{
    account::{AccountClass, AccountFilter, AccountView, NewAccount, NormalSide},
    error::LedgerError,
    key::AccountKey,
    store::{account_key, book_of},
};

/// Lanes of a new book: how many database transactions can post to it at the same time. A read of a striped balance
/// sums at most this many rows.
pub const LANES: i16 = 16;

/// Opens a book with [`LANES`] lanes. Nothing happens if it is open.
///
/// # Errors
/// [`LedgerError::Db`], also when `book` is not the book of `tx`.
pub async fn open_book(tx: &mut Tx, book: BookId) -> Result<(), LedgerError> {
    let book = book.get();
    sqlx::query!("insert into ledger_books (book_id) values ($1) on conflict do nothing", book)
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "insert into ledger_lanes (book_id, lane)
         select $1, lane from generate_series(1, $2::int) lane
         on conflict do nothing",
        book,
        i32::from(LANES)
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "insert into ledger_day_positions (book_id, lane)
         select $1, lane from generate_series(1, $2::int) lane
         on conflict do nothing",
        book,
        i32::from(LANES)
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Opens accounts. Those that are open already with the same properties stay as they are.
///
/// # Errors
/// [`LedgerError::AccountDiffers`] if a key or a path is taken by something else, [`LedgerError::BadPath`],
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn open_accounts(tx: &mut Tx, accounts: &[NewAccount]) -> Result<(), LedgerError> {
    let book = book_of(tx)?;
    if let Some(bad) = accounts.iter().find(|account| !is_path(&account.path)) {
        return Err(LedgerError::BadPath { path: bad.path.chars().take(200).collect() });
    }
    let keys: Vec<i64> = accounts.iter().map(|a| a.key.get()).collect();
    let paths: Vec<String> = accounts.iter().map(|a| a.path.clone()).collect();
    let sides: Vec<i16> = accounts.iter().map(|a| a.normal_side.code()).collect();
    let classes: Vec<i16> = accounts.iter().map(|a| a.class.code()).collect();
    let floors: Vec<Option<i64>> = accounts.iter().map(|a| a.class.floor()).collect();
    let differing = sqlx::query_scalar!(
        "select ledger_open_accounts($1, $2, $3, $4, $5, $6)",
        book.get(),
        &keys,
        &paths,
        &sides,
        &classes,
        &floors as &[Option<i64>]
    )
    .fetch_one(tx.conn())
    .await?;
    match differing {
        None => Ok(()),
        Some(bits) => Err(LedgerError::AccountDiffers { account: account_key(bits)? }),
    }
}

/// The constraint `ledger_accounts_path_shape`.
fn is_path(path: &str) -> bool {
    let segment = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let first = path.split('.').next().unwrap_or_default();
    path.len() <= 200 && path.split('.').all(segment) && !first.chars().any(|c| c.is_ascii_uppercase())
}

/// Accounts of the book in order of key, at most `limit`.
///
/// # Errors
/// [`LedgerError::NoBook`], [`LedgerError::Db`].
pub async fn list_accounts(tx: &mut Tx, filter: &AccountFilter, limit: u16) -> Result<Vec<AccountView>, LedgerError> {
    let book = book_of(tx)?;
    let currency = match filter.currency.map(|c| i16::try_from(c.numeric())) {
        None => None,
        Some(Ok(numeric)) => Some(numeric),
        Some(Err(_)) => return Ok(Vec::new()),
    };
    let rows = sqlx::query_as!(
        AccountRow,
        r#"select account,
                  path,
                  normal_side,
                  class,
                  floor,
                  opened_at as "opened_at: Timestamp"
           from ledger_accounts
           where book_id = $1
             and account > $2
             and ($3::text is null or path = $3 or starts_with(path, $3 || '.'))
             and ($4::smallint is null or currency = $4)
           order by account
           limit $5"#,
        book.get(),
        filter.after.map_or(0, AccountKey::get),
        filter.path.as_deref(),
        currency,
        i64::from(limit)
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(AccountView::try_from).collect()
}

struct AccountRow {
    account: i64,
    path: String,
    normal_side: i16,
    class: i16,
    floor: Option<i64>,
    opened_at: Timestamp,
}

impl TryFrom<AccountRow> for AccountView {
    type Error = LedgerError;

    fn try_from(row: AccountRow) -> Result<Self, LedgerError> {
        Ok(Self {
            key: account_key(row.account)?,
            path: row.path,
            normal_side: NormalSide::from_code(row.normal_side).ok_or(LedgerError::Unreadable("a normal side"))?,
            class: AccountClass::from_code(row.class, row.floor).ok_or(LedgerError::Unreadable("an account class"))?,
            opened_at: row.opened_at.to_jiff(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_path;

    #[test]
    fn paths_are_dotted_words() {
        for good in ["bank", "prov.available", "sel.slr_01JD.available"] {
            assert!(is_path(good), "{good:?}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A.b", "a b", "a-b", "ä", &"a".repeat(201)] {
            assert!(!is_path(bad), "{bad:?}");
        }
    }
}

//! Books and their accounts.

use anyhow::Result;
use partita_db::{BookId, Db, Scope};
use partita_ledger::{AccountClass, AccountKey, LedgerError, NewAccount, NormalSide};
use partita_provider::Currency;

/// Accounts of a book by number: the provider's money, the one fee account, then sellers, then fee accounts to spread.
pub(crate) const PROVIDER: u64 = 0;
pub(crate) const HOT_FEE: u64 = 1;
pub(crate) const FIRST_SELLER: u64 = 2;

pub(crate) fn book_id(book: i32) -> BookId {
    BookId::try_new(book).expect("books are numbered from 1 to 1011")
}

pub(crate) fn key(book: BookId, number: u64) -> AccountKey {
    let eur = Currency::parse("EUR").expect("EUR is current");
    AccountKey::new(book, eur, number).expect("accounts are numbered from 0 to 20001")
}

pub(crate) async fn open(db: &Db, book: BookId, sellers: u64) -> Result<()> {
    let account = |number, normal_side, class| NewAccount {
        key: key(book, number),
        path: format!("account.{number}"),
        normal_side,
        class,
    };
    let mut accounts = vec![
        account(PROVIDER, NormalSide::Debit, AccountClass::Striped),
        account(HOT_FEE, NormalSide::Credit, AccountClass::Striped),
    ];
    let floored = AccountClass::Floored { floor: 0 };
    let sellers_end = FIRST_SELLER + sellers;
    accounts.extend((FIRST_SELLER..sellers_end).map(|n| account(n, NormalSide::Credit, floored)));
    accounts.extend((sellers_end..sellers_end + sellers).map(|n| account(n, NormalSide::Credit, AccountClass::Single)));
    let opened: Result<(), LedgerError> = db
        .run_tx("open", Scope::Book(book), move |tx| {
            let accounts = accounts.clone();
            Box::pin(async move {
                partita_ledger::open_book(tx, book).await?;
                partita_ledger::open_accounts(tx, &accounts).await
            })
        })
        .await;
    Ok(opened?)
}

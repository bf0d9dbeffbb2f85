//! Books and accounts are opened once and mean one thing.

use partita_ledger::{AccountClass, AccountFilter, LedgerError, NewAccount, NormalSide};

use crate::support::{TestLedger, account, key, ledger_sql_state};

#[tokio::test]
async fn opening_twice_is_opening_once() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    ledger.post_one(book, ledger.transfer(shop.provider, shop.seller, 500)).await;
    ledger.run(book, move |tx| Box::pin(partita_ledger::open_book(tx, book))).await.expect("it is open");
    let again = account(shop.seller, "sel.a.available", NormalSide::Credit, AccountClass::Floored { floor: 0 });
    ledger.open(book, vec![again.clone(), again]).await;
    assert_eq!(ledger.balance(book, shop.seller).await, 500);
    assert_eq!(ledger.verify(book).await, []);
}

#[tokio::test]
async fn an_account_never_changes_its_meaning() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let seller = account(shop.seller, "sel.a.available", NormalSide::Credit, AccountClass::Floored { floor: 0 });
    let other_key = key(book, "EUR", 77);
    let changed = [
        NewAccount { path: "sel.b.available".to_owned(), ..seller.clone() },
        NewAccount { normal_side: NormalSide::Debit, ..seller.clone() },
        NewAccount { class: AccountClass::Single, ..seller.clone() },
        NewAccount { class: AccountClass::Floored { floor: -1 }, ..seller.clone() },
        NewAccount { key: other_key, ..seller.clone() },
    ];
    for account in changed {
        let expected = account.key;
        let slice = vec![account];
        let opened = ledger.run(book, move |tx| {
            let slice = slice.clone();
            Box::pin(async move { partita_ledger::open_accounts(tx, &slice).await })
        });
        match opened.await {
            Err(LedgerError::AccountDiffers { account }) => assert_eq!(account, expected),
            other => panic!("{expected} was opened: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_path_is_taken_once_per_currency() {
    let ledger = TestLedger::start().await;
    let (book, _) = ledger.shop().await;
    let dollars = account(key(book, "USD", 1), "prov.available", NormalSide::Debit, AccountClass::Striped);
    ledger.open(book, vec![dollars]).await;
}

#[tokio::test]
async fn accounts_of_another_book_cannot_be_opened() {
    let ledger = TestLedger::start().await;
    let (book, other) = (ledger.book().await, ledger.book().await);
    let foreign = account(key(other, "EUR", 1), "bank", NormalSide::Debit, AccountClass::Striped);
    let opened = ledger.run(book, move |tx| {
        let foreign = foreign.clone();
        Box::pin(async move { partita_ledger::open_accounts(tx, &[foreign]).await })
    });
    let refused = opened.await.expect_err("the key belongs to another book");
    assert_eq!(ledger_sql_state(&refused), "23514", "{refused:?}");
}

#[tokio::test]
async fn accounts_are_listed_in_pages_and_by_path() {
    let ledger = TestLedger::start().await;
    let (book, shop) = ledger.shop().await;
    let list = |filter: AccountFilter, limit| {
        ledger.run(book, move |tx| {
            let filter = filter.clone();
            Box::pin(async move { partita_ledger::list_accounts(tx, &filter, limit).await })
        })
    };
    let first = list(AccountFilter::default(), 3).await.expect("a page");
    assert_eq!(first.iter().map(|a| a.key).collect::<Vec<_>>(), [shop.provider, shop.seller, shop.pending]);
    let rest = AccountFilter { after: Some(shop.pending), ..AccountFilter::default() };
    assert_eq!(list(rest, 3).await.expect("a page").len(), 2);
    let below = AccountFilter { path: Some("sel.a".to_owned()), ..AccountFilter::default() };
    let paths: Vec<_> = list(below, 9).await.expect("a page").into_iter().map(|a| a.path).collect();
    assert_eq!(paths, ["sel.a.available", "sel.a.pending", "sel.a.reserve"]);
    let like = AccountFilter { path: Some("sel_a".to_owned()), ..AccountFilter::default() };
    assert_eq!(list(like, 9).await.expect("a page"), []);
    let dollars = AccountFilter { currency: Some(key(book, "USD", 1).currency()), ..AccountFilter::default() };
    assert_eq!(list(dollars, 9).await.expect("a page"), []);
}

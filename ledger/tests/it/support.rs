//! A migrated database with a ledger in it, and books to post to.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicI32, AtomicI64, Ordering},
};

use jiff::Timestamp;
use partita_db::{BookId, Db, DbError, DbOptions, Scope};
use partita_ledger::{
    AccountClass, AccountKey, Anchor, Balance, Floors, HoldOutcome, HoldView, LedgerError, NewAccount, NewCapture,
    NewHold, NewPosting, NewReversal, NewTransaction, NormalSide, PostOutcome, Verification, Violation, VoidOutcome,
};
use partita_postgres::{Role, testing::TestDatabase};
use partita_provider::Currency;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The migrations of the ledger; the others are the service's.
const MIGRATIONS: [&str; 2] =
    [include_str!("../../../migrations/0001_ledger.sql"), include_str!("../../../migrations/0004_ledger_holds.sql")];

/// A database of its own, and the ledger as the service would use it.
pub(crate) struct TestLedger {
    pub(crate) db: Db,
    database: TestDatabase,
    books: AtomicI32,
    ids: AtomicI64,
}

impl TestLedger {
    pub(crate) async fn start() -> Self {
        let mut hash = DefaultHasher::new();
        MIGRATIONS.hash(&mut hash);
        let key = format!("ledger {:x}", hash.finish());
        let database = TestDatabase::create(migrate, &key).await.expect("a test database");
        let db = Db::connect(&DbOptions::new(&database.app_url)).await.expect("the application's role");
        Self { db, database, books: AtomicI32::new(1), ids: AtomicI64::new(1) }
    }

    /// A connection under one of the roles, outside any transaction.
    pub(crate) async fn connect(&self, role: Role) -> PgConnection {
        PgConnection::connect(&self.database.url(role)).await.expect("a connection")
    }

    /// Runs SQL as the superuser, with triggers and policies off.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut admin = self.connect(Role::Admin).await;
        admin.execute("set session_replication_role = replica").await.expect("a superuser");
        admin.execute(AssertSqlSafe(sql)).await.expect("the superuser may do anything");
    }

    /// A number no other call gave.
    pub(crate) fn id(&self) -> i64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// A new, open book without accounts.
    pub(crate) async fn book(&self) -> BookId {
        let book = self.books.fetch_add(1, Ordering::Relaxed);
        let book = BookId::try_new(book).expect("few books are made");
        self.run(book, move |tx| Box::pin(partita_ledger::open_book(tx, book))).await.expect("a book opens");
        book
    }

    /// A unit of work in a book.
    pub(crate) async fn run<T, F>(&self, book: BookId, work: F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: for<'t> Fn(&'t mut partita_db::Tx) -> futures::future::BoxFuture<'t, Result<T, LedgerError>>
            + Send
            + Sync
            + 'static,
    {
        self.db.run_tx("test", Scope::Book(book), work).await
    }

    pub(crate) async fn open(&self, book: BookId, accounts: Vec<NewAccount>) {
        let opened = self.run(book, move |tx| {
            let accounts = accounts.clone();
            Box::pin(async move { partita_ledger::open_accounts(tx, &accounts).await })
        });
        opened.await.expect("accounts open");
    }

    pub(crate) async fn post(&self, book: BookId, slice: Vec<NewTransaction>) -> Result<Vec<PostOutcome>, LedgerError> {
        let posted = self.run(book, move |tx| {
            let slice = slice.clone();
            Box::pin(async move { partita_ledger::post(tx, &slice).await })
        });
        posted.await
    }

    pub(crate) async fn post_one(&self, book: BookId, transaction: NewTransaction) -> PostOutcome {
        let outcomes = self.post(book, vec![transaction]).await.expect("a call of post");
        assert_eq!(outcomes.len(), 1);
        outcomes[0]
    }

    pub(crate) async fn reverse(&self, book: BookId, reversal: NewReversal) -> Result<PostOutcome, LedgerError> {
        self.run(book, move |tx| Box::pin(partita_ledger::reverse(tx, reversal))).await
    }

    pub(crate) async fn balances(&self, book: BookId, accounts: Vec<AccountKey>) -> Vec<Balance> {
        let read = self.run(book, move |tx| {
            let accounts = accounts.clone();
            Box::pin(async move { partita_ledger::balances(tx, &accounts).await })
        });
        read.await.expect("balances")
    }

    /// Minor units, by normal side.
    pub(crate) async fn balance(&self, book: BookId, account: AccountKey) -> i128 {
        self.balances(book, vec![account]).await[0].signed()
    }

    pub(crate) async fn verify(&self, book: BookId) -> Vec<Violation> {
        let verified =
            self.db.read("verify", Scope::Book(book), |tx| Box::pin(async move { partita_ledger::verify(tx).await }));
        verified.await.expect("verify runs").violations
    }

    /// Verifies what is new since the last time, and notes how far that came if nothing was found.
    pub(crate) async fn verify_new(&self, book: BookId) -> Vec<Violation> {
        let verified: Result<Verification, LedgerError> = self
            .db
            .read("verify", Scope::Book(book), |tx| Box::pin(async move { partita_ledger::verify_new(tx).await }))
            .await;
        let verified = verified.expect("verify runs");
        let violations = verified.violations.clone();
        let noted = self.run(book, move |tx| {
            let verified = verified.clone();
            Box::pin(async move { partita_ledger::record_verified(tx, &verified).await })
        });
        assert_eq!(noted.await.expect("noted"), violations.is_empty());
        violations
    }

    pub(crate) async fn verify_against(&self, book: BookId, anchor: &Anchor) -> Vec<Violation> {
        let anchor = anchor.clone();
        let verified: Result<_, LedgerError> = self
            .db
            .read("verify", Scope::Book(book), move |tx| {
                let anchor = anchor.clone();
                Box::pin(async move { partita_ledger::verify_against(tx, &anchor).await })
            })
            .await;
        verified.expect("verify runs")
    }

    pub(crate) async fn anchor(&self, book: BookId) -> Anchor {
        self.run(book, |tx| Box::pin(partita_ledger::take_anchor(tx))).await.expect("an anchor")
    }

    pub(crate) async fn hold(&self, book: BookId, slice: Vec<NewHold>) -> Vec<HoldOutcome> {
        let placed = self.run(book, move |tx| {
            let slice = slice.clone();
            Box::pin(async move { partita_ledger::place_holds(tx, &slice).await })
        });
        placed.await.expect("a call of place_holds")
    }

    pub(crate) async fn capture(&self, book: BookId, slice: Vec<NewCapture>) -> Result<Vec<PostOutcome>, LedgerError> {
        let captured = self.run(book, move |tx| {
            let slice = slice.clone();
            Box::pin(async move { partita_ledger::capture(tx, &slice).await })
        });
        captured.await
    }

    pub(crate) async fn void(&self, book: BookId, hold: i64) -> VoidOutcome {
        let voided = self.run(book, move |tx| Box::pin(partita_ledger::void_hold(tx, hold, 1, noon())));
        voided.await.expect("a call of void_hold")
    }

    pub(crate) async fn find_hold(&self, book: BookId, hold: i64) -> Option<HoldView> {
        self.run(book, move |tx| Box::pin(partita_ledger::find_hold(tx, hold))).await.expect("a look-up")
    }

    /// A hold from a source of its own, without end.
    pub(crate) fn new_hold(&self, account: AccountKey, amount: i64) -> NewHold {
        let id = self.id();
        NewHold {
            id,
            kind: 1,
            source: id,
            actor: 1,
            effective_at: noon(),
            account,
            amount,
            subject: 1,
            expires_at: None,
            in_use: false,
        }
    }

    /// Places one hold.
    pub(crate) async fn hold_one(&self, book: BookId, hold: NewHold) -> HoldOutcome {
        self.hold(book, vec![hold]).await[0]
    }

    /// A posting of `amount`, in a transaction with an id and a source of its own.
    pub(crate) fn transfer(&self, debit: AccountKey, credit: AccountKey, amount: i64) -> NewTransaction {
        let id = self.id();
        NewTransaction {
            id,
            kind: 1,
            source: id,
            actor: 1,
            effective_at: noon(),
            floors: Floors::Respect,
            postings: vec![NewPosting { debit, credit, amount, subject: 1 }],
        }
    }

    /// A reversal from a source of its own.
    pub(crate) fn reversal(&self, original: i64) -> NewReversal {
        let id = self.id();
        NewReversal { original, id, kind: 2, source: id, actor: 1, effective_at: noon(), floors: Floors::Pass }
    }
}

async fn migrate(owner_url: String) -> Result<(), sqlx::Error> {
    let mut owner = PgConnection::connect(&owner_url).await?;
    for migration in MIGRATIONS {
        let mut tx = owner.begin().await?;
        tx.execute(migration).await?;
        tx.commit().await?;
    }
    owner.close().await
}

/// An instant in the middle of a day.
pub(crate) fn noon() -> Timestamp {
    "2026-11-03T12:00:00Z".parse().expect("a time")
}

pub(crate) fn key(book: BookId, currency: &str, number: u64) -> AccountKey {
    AccountKey::new(book, Currency::parse(currency).expect("a currency"), number).expect("a small number")
}

pub(crate) fn account(key: AccountKey, path: &str, normal_side: NormalSide, class: AccountClass) -> NewAccount {
    NewAccount { key, path: path.to_owned(), normal_side, class }
}

/// The accounts most tests need, in EUR.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shop {
    /// Asset, striped.
    pub(crate) provider: AccountKey,
    /// Liability, floored at zero.
    pub(crate) seller: AccountKey,
    /// Liability, floored at zero.
    pub(crate) reserve: AccountKey,
    /// Liability, one row.
    pub(crate) pending: AccountKey,
    /// Revenue, striped.
    pub(crate) fees: AccountKey,
    /// Never opened.
    pub(crate) unknown: AccountKey,
}

impl TestLedger {
    /// A new book with the accounts of a [`Shop`].
    pub(crate) async fn shop(&self) -> (BookId, Shop) {
        let book = self.book().await;
        let shop = Shop {
            provider: key(book, "EUR", 1),
            seller: key(book, "EUR", 2),
            pending: key(book, "EUR", 3),
            fees: key(book, "EUR", 4),
            unknown: key(book, "EUR", 5),
            reserve: key(book, "EUR", 6),
        };
        self.open(
            book,
            vec![
                account(shop.provider, "prov.available", NormalSide::Debit, AccountClass::Striped),
                account(shop.seller, "sel.a.available", NormalSide::Credit, AccountClass::Floored { floor: 0 }),
                account(shop.pending, "sel.a.pending", NormalSide::Credit, AccountClass::Single),
                account(shop.reserve, "sel.a.reserve", NormalSide::Credit, AccountClass::Floored { floor: 0 }),
                account(shop.fees, "rev.commission", NormalSide::Credit, AccountClass::Striped),
            ],
        )
        .await;
        (book, shop)
    }
}

/// The SQLSTATE of a failure.
pub(crate) fn sql_state(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.map(std::borrow::Cow::into_owned).unwrap_or_default()
}

/// The SQLSTATE behind a failure of a ledger call.
pub(crate) fn ledger_sql_state(error: &LedgerError) -> String {
    match error {
        LedgerError::Db(DbError::Sqlx(error)) => sql_state(error),
        _ => String::new(),
    }
}

//! A sale, its replay, a payout that is too large and one that is not, on a private Postgres that goes away at the end.

#![expect(clippy::print_stdout, reason = "an example shows its results")]

use anyhow::Result;
use partita_db::{BookId, Db, DbOptions, Scope};
use partita_ledger::{
    AccountClass, AccountKey, Floors, LedgerError, NewAccount, NewPosting, NewTransaction, NormalSide, PostOutcome,
};
use partita_postgres::{PrivateServer, Role, ServerOptions};
use partita_provider::Currency;
use sqlx::{Connection, Executor, PgConnection};

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("partita-ledger-example-{}", std::process::id()));
    let server = PrivateServer::start(ServerOptions::new(&folder)).await?;
    let shown = show(&server).await;
    server.shutdown().await?;
    std::fs::remove_dir_all(&folder)?;
    shown
}

async fn show(server: &PrivateServer) -> Result<()> {
    let db = migrated(server).await?;
    let book = BookId::try_new(1).expect("1 is a book");
    let eur = Currency::parse("EUR")?;
    let account = |number| AccountKey::new(book, eur, number).expect("a small number");
    let (provider, anna, commission) = (account(1), account(2), account(3));

    let accounts = [
        (provider, "prov.available", NormalSide::Debit, AccountClass::Striped),
        (anna, "sel.anna.available", NormalSide::Credit, AccountClass::Floored { floor: 0 }),
        (commission, "rev.commission", NormalSide::Credit, AccountClass::Striped),
    ]
    .map(|(key, path, normal_side, class)| NewAccount { key, path: path.to_owned(), normal_side, class });
    let opened: Result<(), LedgerError> = db
        .run_tx("open", Scope::Book(book), move |tx| {
            let accounts = accounts.clone();
            Box::pin(async move {
                partita_ledger::open_book(tx, book).await?;
                partita_ledger::open_accounts(tx, &accounts).await
            })
        })
        .await;
    opened?;

    let posting = |debit, credit, amount| NewPosting { debit, credit, amount, subject: 1 };
    let sale = transaction(1, vec![posting(provider, anna, 60_00), posting(anna, commission, 6_00)]);
    println!("sale      {:?}", post(&db, book, sale.clone()).await?);
    println!("again     {:?}", post(&db, book, NewTransaction { id: 2, ..sale }).await?);
    println!("too much  {:?}", post(&db, book, transaction(3, vec![posting(anna, provider, 60_00)])).await?);
    println!("payout    {:?}", post(&db, book, transaction(4, vec![posting(anna, provider, 54_00)])).await?);

    let read: Result<_, LedgerError> = db
        .read("report", Scope::Book(book), |tx| {
            Box::pin(async move {
                let rows = partita_ledger::trial_balance(tx, None, None).await?;
                Ok((rows, partita_ledger::verify(tx).await?.violations))
            })
        })
        .await;
    let (rows, violations) = read?;
    println!("\n{:<20} {:>7}  {:>7}", "account", "debits", "credits");
    for row in rows {
        println!("{:<20} {:>7}  {:>7}", row.path, row.debits, row.credits);
    }
    anyhow::ensure!(violations.is_empty(), "{violations:?}");
    println!("\nverified: no violation");
    Ok(())
}

fn transaction(id: i64, postings: Vec<NewPosting>) -> NewTransaction {
    let effective_at = jiff::Timestamp::constant(1_793_707_200, 0);
    NewTransaction { id, kind: 1, source: id, actor: 1, effective_at, floors: Floors::Respect, postings }
}

async fn post(db: &Db, book: BookId, transaction: NewTransaction) -> Result<PostOutcome> {
    let posted: Result<Vec<_>, LedgerError> = db
        .run_tx("post", Scope::Book(book), move |tx| {
            let slice = [transaction.clone()];
            Box::pin(async move { partita_ledger::post(tx, &slice).await })
        })
        .await;
    Ok(posted?[0])
}

/// A database with the ledger's schema, and a pool under the application's role.
async fn migrated(server: &PrivateServer) -> Result<Db> {
    server.cluster().create_database("ledger", Role::Owner).await?;
    let mut owner = PgConnection::connect(&server.cluster().url(Role::Owner, "ledger")).await?;
    for migration in
        [include_str!("../../migrations/0001_ledger.sql"), include_str!("../../migrations/0004_ledger_holds.sql")]
    {
        owner.execute(migration).await?;
    }
    owner.close().await?;
    Ok(Db::connect(&DbOptions::new(server.cluster().url(Role::App, "ledger"))).await?)
}

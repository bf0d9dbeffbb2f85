//! The schema explains and protects itself.

use partita_postgres::Role;

use crate::support::TestLedger;

async fn offenders(sql: &'static str) -> Vec<String> {
    let ledger = TestLedger::start().await;
    let mut admin = ledger.connect(Role::Admin).await;
    sqlx::query_scalar(sql).fetch_all(&mut admin).await.expect("the catalogue")
}

#[tokio::test]
async fn every_table_of_a_book_forces_its_policy() {
    let open = offenders(
        "select c.relname::text
         from pg_class c
         join pg_attribute a on a.attrelid = c.oid and a.attname = 'book_id'
         where c.relkind = 'r' and c.relname like 'ledger%'
           and not (c.relrowsecurity and c.relforcerowsecurity
                    and exists (select from pg_policy p where p.polrelid = c.oid))",
    );
    assert_eq!(open.await, Vec::<String>::new());
}

#[tokio::test]
async fn every_key_starts_with_the_book() {
    let keys = offenders(
        "select i.indexrelid::regclass::text
         from pg_index i
         join pg_class c on c.oid = i.indrelid
         join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
         where c.relname like 'ledger%' and c.relname <> 'ledger_transaction_kinds' and a.attname <> 'book_id'",
    );
    assert_eq!(keys.await, Vec::<String>::new());
}

#[tokio::test]
async fn every_table_view_and_function_is_explained() {
    let silent = offenders(
        "select c.relname::text
         from pg_class c
         where c.relkind in ('r', 'v') and c.relname like 'ledger%' and obj_description(c.oid, 'pg_class') is null
         union all
         select p.proname::text
         from pg_proc p
         where p.proname like 'ledger%' and obj_description(p.oid, 'pg_proc') is null",
    );
    assert_eq!(silent.await, Vec::<String>::new());
}

#[tokio::test]
async fn the_application_owns_nothing_and_functions_run_as_who_calls_them() {
    let owned = offenders(
        "select c.relname::text from pg_class c where pg_get_userbyid(c.relowner) = 'partita_app'
         union all
         select p.proname::text from pg_proc p where p.proname like 'ledger%' and p.prosecdef",
    );
    assert_eq!(owned.await, Vec::<String>::new());
}

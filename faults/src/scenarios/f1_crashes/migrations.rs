//! `partita migrate` is killed in the middle of a migration, again and again at other statements, until it gets through;
//! then the schema must be the one of a database that was never disturbed.
//!
//! The point is one of the database: a trigger on its own definitions sleeps at some of them, inside the migration's
//! transaction, and whoever waits for it is killed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use partita_postgres::Role;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::process::Command;

use crate::dice::Dice;
use crate::replica::SERVICE;
use crate::rig::Rig;
use crate::scenarios::Scene;

/// Of this many definitions one is died at.
const ONE_IN: u64 = 12;

/// The most deaths.
const MOST: usize = 12;

/// How long one run of the migrations may take.
const THROUGH_WITHIN: Duration = Duration::from_mins(2);

/// The database that is disturbed.
const STRUCK: &str = "struck";

/// How often it died before it got through.
///
/// # Errors
/// When the databases cannot be made or asked, or the last run fails.
pub(super) async fn kill(scene: &mut Scene) -> anyhow::Result<usize> {
    let rig = &scene.rig;
    rig.create_database(STRUCK).await?;
    let mut admin = PgConnection::connect(&rig.url(Role::Admin, STRUCK)).await.context("the superuser's way in")?;
    let first = Dice::new(rig.seed, "migrations").below(ONE_IN);
    sqlx::raw_sql(AssertSqlSafe(trap(first))).execute(&mut admin).await.context("the trap")?;
    let mut deaths = 0;
    while deaths < MOST && !migrate(rig, &mut admin).await? {
        deaths += 1;
    }
    sqlx::raw_sql("drop event trigger trap; drop schema trap cascade").execute(&mut admin).await?;
    anyhow::ensure!(migrate(rig, &mut admin).await?, "it stands still without a trap");
    let struck = schema(&mut admin).await?;
    admin.close().await?;
    let mut admin = PgConnection::connect(&rig.url(Role::Admin, rig.database())).await?;
    let whole = schema(&mut admin).await?;
    admin.close().await?;
    if let Some((struck, whole)) = struck.iter().zip(&whole).find(|(struck, whole)| struck != whole) {
        scene.found.add("I6", format!("a schema whose migrations were killed differs: {struck} instead of {whole}"));
    }
    if struck.len() != whole.len() {
        let detail = format!("a schema whose migrations were killed has {} parts, not {}", struck.len(), whole.len());
        scene.found.add("I6", detail);
    }
    Ok(deaths)
}

/// Sleeps at every so-manieth definition, the first of which is `first`. A sequence counts those of dead ones too.
fn trap(first: u64) -> String {
    format!(
        "create schema trap; grant usage on schema trap to public; create sequence trap.definitions;
         grant usage on sequence trap.definitions to public;
         create function trap.sleep() returns event_trigger language plpgsql as $$
         begin
             if nextval('trap.definitions') % {ONE_IN} = {first} then perform pg_sleep(2); end if;
         end $$;
         create event trigger trap on ddl_command_end when tag in ('CREATE TABLE', 'ALTER TABLE', 'CREATE INDEX')
             execute function trap.sleep()"
    )
}

/// Runs the migrations until they are through, or asleep in the trap and killed; whether they got through.
async fn migrate(rig: &Rig, admin: &mut PgConnection) -> anyhow::Result<bool> {
    let mut child = Command::new(std::env::current_exe().context("where this program is")?)
        .arg0(SERVICE)
        .arg("migrate")
        .env("PARTITA_OWNER_URL", rig.url(Role::Owner, STRUCK))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the migrations cannot be started")?;
    let deadline = Instant::now() + THROUGH_WITHIN;
    // One that was killed is still asleep for a while: only a younger one is this one.
    let began: String = sqlx::query_scalar("select clock_timestamp()::text").fetch_one(&mut *admin).await?;
    loop {
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "the migrations fail after they were killed: {status}");
            return Ok(true);
        }
        let asleep: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
                            and backend_start >= $1::timestamptz - interval '1 second')",
        )
        .bind(&began)
        .fetch_one(&mut *admin)
        .await?;
        if asleep {
            child.kill().await.context("the migrations cannot be killed")?;
            return Ok(false);
        }
        anyhow::ensure!(Instant::now() < deadline, "the migrations are not through after {THROUGH_WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything that a migration makes, in one order; what the suite itself made has a schema of its own.
async fn schema(admin: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let parts = sqlx::query_scalar(
        "select 'column ' || table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
                || coalesce(column_default, '-')
         from information_schema.columns where table_schema = 'public'
         union all
         select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
         from pg_constraint where connamespace = 'public'::regnamespace and conrelid <> 0
         union all
         select 'index ' || indexdef from pg_indexes where schemaname = 'public'
         union all
         select 'trigger ' || pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid
         join pg_proc f on f.oid = t.tgfoid and f.pronamespace = 'public'::regnamespace
         where c.relnamespace = 'public'::regnamespace and not t.tgisinternal
         union all
         select 'function ' || proname || ' ' || md5(prosrc) from pg_proc where pronamespace = 'public'::regnamespace
         union all
         select 'policy ' || tablename || ' ' || policyname || ' ' || coalesce(qual, '-') from pg_policies
         where schemaname = 'public'
         union all
         select 'grant ' || table_name || ' ' || grantee || ' ' || privilege_type
         from information_schema.role_table_grants where table_schema = 'public'
         union all
         select 'migration ' || version || ' ' || success || ' ' || encode(checksum, 'hex') from _sqlx_migrations
         order by 1",
    );
    Ok(parts.fetch_all(admin).await?)
}

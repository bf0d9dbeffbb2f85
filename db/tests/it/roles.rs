//! The refusal of a strong role.

use partita_db::{Db, DbError, DbOptions};
use partita_postgres::Role;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};

use crate::rig::Rig;

async fn refusal(url: &str) -> String {
    match Db::connect(&DbOptions::new(url)).await {
        Err(error @ DbError::RoleTooStrong { .. }) => error.to_string(),
        other => panic!("not refused for its strength: {other:?}"),
    }
}

#[tokio::test]
async fn a_superuser_and_an_owner_are_refused_with_the_remedy() {
    let rig = Rig::new().await;
    let admin = refusal(&rig.database.url(Role::Admin)).await;
    assert!(admin.contains("it is a superuser"), "{admin}");
    let owner = refusal(&rig.database.owner_url).await;
    assert!(owner.contains("partita_owner") && owner.contains("it owns the database"), "{owner}");
    assert!(owner.contains("create role partita_app login nosuperuser nobypassrls"), "{owner}");
}

#[tokio::test]
async fn powers_of_a_role_or_of_one_it_is_a_member_of_are_refused() {
    let rig = Rig::new().await;
    let cases = [
        ("bypassrls", "", "it has BYPASSRLS"),
        ("createrole", "", "it has CREATEROLE"),
        ("", "grant partita_owner to {role}", "it is a member of partita_owner"),
        ("noinherit", "grant partita_owner to {role}", "it is a member of partita_owner"),
        ("", "create table owned (n int); alter table owned owner to {role}", "it owns public.owned"),
    ];
    for (attribute, more, expected) in cases {
        let text = with_role(&rig, attribute, more).await;
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
}

/// Connects as a new role with these powers and returns the refusal; the role is gone afterwards.
async fn with_role(rig: &Rig, attribute: &str, more: &str) -> String {
    let role = format!("partita_strong_{:08x}", rand::random::<u32>());
    let mut admin = rig.admin().await;
    let create = format!(
        "create role {role} login password 'x' {attribute}; grant connect on database {} to {role};",
        rig.database.name
    );
    run(&mut admin, create + &more.replace("{role}", &role)).await;
    let url = rig.database.url(Role::Admin).parse::<PgConnectOptions>().expect("a URL");
    let url: String = url.username(&role).password("x").to_url_lossy().into();
    let refused = tokio::spawn(async move { refusal(&url).await }).await;
    run(&mut admin, format!("drop owned by {role} cascade; drop role {role}")).await;
    refused.expect("refused")
}

async fn run(admin: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(admin).await.expect("the superuser may");
}

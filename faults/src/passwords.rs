//! Passwords of a private server that cost nothing to check.
//!
//! Postgres has a password hashed 4,096 times by whoever connects. In a debug build that is a sixth of a second of a
//! processor for each connection, and after a fault all connections of all replicas are made anew: a machine that is busy
//! then hashes longer than anyone waits for a connection, and what is seen is the hashing. The passwords here are random,
//! 128 bits each, which one hash protects as well.

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use partita_postgres::{Cluster, Role};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use url::Url;

/// Of every server; what it protects against needs a list of likely passwords.
const SALT: &[u8] = b"faults of Partita";

/// Has a server hash the passwords of its roles once.
///
/// # Errors
/// What the server says.
pub(crate) async fn hash_once(cluster: &Cluster) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(&cluster.url(Role::Admin, "postgres")).await?;
    for role in [Role::Owner, Role::App, Role::Simulator] {
        let url = Url::parse(&cluster.url(role, "postgres"))?;
        let verifier = verifier(url.password().context("a role has a password")?);
        // Both are made here: a name without quotes, and Base64.
        let sql = format!("alter role {} password '{verifier}'", url.username());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.with_context(|| url.username().to_owned())?;
    }
    Ok(admin.close().await?)
}

/// What Postgres keeps of a password (RFC 5803), hashed once.
fn verifier(password: &str) -> String {
    let hmac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
        mac.update(text);
        mac.finalize().into_bytes()
    };
    let salted = hmac(password.as_bytes(), &[SALT, &1_u32.to_be_bytes()].concat());
    let stored = Sha256::digest(hmac(&salted, b"Client Key"));
    let server = hmac(&salted, b"Server Key");
    format!("SCRAM-SHA-256$1:{}${}:{}", BASE64.encode(SALT), BASE64.encode(stored), BASE64.encode(server))
}

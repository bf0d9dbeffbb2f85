//! Roles and databases of a running server.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, postgres::PgConnectOptions};

use crate::{error::Error, passwords::Passwords};

/// The roles of a cluster. They stand outside the migrations, because roles belong to the cluster and not to a
/// database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The superuser, for making roles and databases.
    Admin,
    /// Owns the service's databases and runs its migrations; no superuser.
    Owner,
    /// The service and its workers: owns nothing.
    App,
    /// The simulated provider: owns its own database and reaches no other.
    Simulator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Owner, Self::App, Self::Simulator];

    /// Those that are made after the cluster.
    pub(crate) const MADE: [Self; 3] = [Self::Owner, Self::App, Self::Simulator];

    /// Its name in Postgres.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "partita_admin",
            Self::Owner => "partita_owner",
            Self::App => "partita_app",
            Self::Simulator => "partita_simulator",
        }
    }
}

/// A running server, and the keys to it.
#[derive(Clone)]
pub struct Cluster {
    admin: PgConnectOptions,
    passwords: Passwords,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("host", &self.admin.get_host())
            .field("port", &self.admin.get_port())
            .finish_non_exhaustive()
    }
}

impl Cluster {
    pub(crate) fn new(admin: PgConnectOptions, passwords: Passwords) -> Self {
        Self { admin: admin.disable_statement_logging(), passwords }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.admin.get_port()
    }

    /// The URL under which this role reaches this database. It contains the password.
    pub fn url(&self, role: Role, database: &str) -> String {
        let options = self.admin.clone().database(database);
        let options = match role {
            Role::Admin => options,
            _ => options.username(role.name()).password(self.passwords.of(role)),
        };
        options.to_url_lossy().into()
    }

    /// Makes a database that only its owner can connect to, and the application's role if the owner is
    /// [`Role::Owner`]. Returns false, and changes nothing, if there is one of that name.
    ///
    /// # Errors
    /// [`Error::BadDatabaseName`], or [`Error::Sqlx`].
    pub async fn create_database(&self, name: &str, owner: Role) -> Result<bool, Error> {
        let mut admin = self.connect_as_admin().await?;
        let created = create_database(&mut admin, name, owner, None).await;
        close(admin).await;
        created
    }

    /// Drops a database, and ends the sessions on it. Returns false if there is none of that name.
    ///
    /// # Errors
    /// [`Error::BadDatabaseName`], or [`Error::Sqlx`].
    pub async fn drop_database(&self, name: &str) -> Result<bool, Error> {
        let mut admin = self.connect_as_admin().await?;
        let existed = database_exists(&mut admin, name).await?;
        drop_database(&mut admin, name).await?;
        close(admin).await;
        Ok(existed)
    }

    pub(crate) async fn connect_as_admin(&self) -> Result<PgConnection, Error> {
        Ok(self.admin.connect().await?)
    }
}

/// Makes the roles that are missing and sets, of all, password and powers.
pub(crate) async fn ensure_roles(admin: &mut PgConnection, passwords: &Passwords) -> Result<(), Error> {
    // The statements carry passwords, which must not get into the server's log when one fails.
    admin
        .execute("set log_min_error_statement = panic; set log_min_duration_statement = -1; set log_statement = none")
        .await?;
    for role in Role::MADE {
        let name = role.name();
        if !role_exists(admin, role).await? {
            run(admin, format!("create role {name}")).await?;
        }
        let password = passwords.of(role);
        run(
            admin,
            format!(
                "alter role {name} login nosuperuser nobypassrls nocreatedb nocreaterole noreplication \
                 password '{password}'"
            ),
        )
        .await?;
    }
    Ok(())
}

pub(crate) async fn role_exists(admin: &mut PgConnection, role: Role) -> Result<bool, Error> {
    let exists = sqlx::query_scalar("select exists (select from pg_catalog.pg_roles where rolname = $1)")
        .bind(role.name())
        .fetch_one(admin)
        .await?;
    Ok(exists)
}

pub(crate) async fn database_exists(admin: &mut PgConnection, name: &str) -> Result<bool, Error> {
    let exists = sqlx::query_scalar("select exists (select from pg_catalog.pg_database where datname = $1)")
        .bind(name)
        .fetch_one(admin)
        .await?;
    Ok(exists)
}

/// See [`Cluster::create_database`]; optionally as a copy of another.
pub(crate) async fn create_database(
    admin: &mut PgConnection,
    name: &str,
    owner: Role,
    template: Option<&str>,
) -> Result<bool, Error> {
    check_name(name)?;
    if database_exists(admin, name).await? {
        return Ok(false);
    }
    let template = template.map_or(String::new(), |template| format!(" template {template}"));
    run(admin, format!("create database {name} owner {}{template}", owner.name())).await?;
    run(admin, format!("revoke all on database {name} from public")).await?;
    if owner == Role::Owner {
        run(admin, format!("grant connect on database {name} to {}", Role::App.name())).await?;
    }
    Ok(true)
}

pub(crate) async fn drop_database(admin: &mut PgConnection, name: &str) -> Result<(), Error> {
    check_name(name)?;
    run(admin, format!("drop database if exists {name} with (force)")).await
}

/// The parts of the text are names that [`check_name`] let through, names of roles and passwords made of hexadecimal
/// digits.
pub(crate) async fn run(admin: &mut PgConnection, sql: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(admin).await?;
    Ok(())
}

pub(crate) async fn close(connection: PgConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the connection was gone already");
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let letters = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if letters && first && name.len() <= 63 { Ok(()) } else { Err(Error::BadDatabaseName { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn only_plain_names_get_into_sql() {
        assert!(check_name("partita_1").is_ok());
        for bad in ["", "1a", "a-b", "A", "a b", "a;drop", "a\"", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?} passed");
        }
    }
}

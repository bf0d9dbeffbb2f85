//! The refusal of a role under which tenancy and append-only grants would hold for nothing.

use sqlx::PgPool;

use crate::error::DbError;

/// Refuses the connected role if it, or a role it is a member of, is a superuser, has BYPASSRLS or CREATEROLE (with
/// which it could make itself a member of the owner), owns the database or owns a relation in the schema public.
///
/// The session's user is asked about too: `set role` in a role's defaults would hide it, `reset role` brings it back.
pub(crate) async fn refuse_strong_role(pool: &PgPool) -> Result<(), DbError> {
    let found: Option<(String, String)> = sqlx::query_as(
        "with powers as (
             select r.rolname,
                    case when r.rolsuper then 'it is a superuser'
                         when r.rolbypassrls then 'it has BYPASSRLS'
                         when r.rolcreaterole then 'it has CREATEROLE'
                         when d.datname is not null then 'it owns the database'
                         when c.relname is not null then 'it owns public.' || c.relname
                    end as power
               from pg_catalog.pg_roles r
               left join pg_catalog.pg_database d
                 on d.datdba = r.oid and d.datname = current_database()
               left join lateral (
                    select c.relname
                      from pg_catalog.pg_class c
                      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = 'public'
                       and c.relowner = r.oid
                     order by c.relname
                     limit 1
                    ) c on true
              where pg_has_role(session_user, r.oid, 'member')
                 or pg_has_role(current_user, r.oid, 'member')
         )
         select session_user::text,
                case when rolname in (session_user, current_user) then power
                     else 'it is a member of ' || rolname || ', and ' || power
                end
           from powers
          where power is not null
          order by rolname in (session_user, current_user) desc, rolname
          limit 1",
    )
    .fetch_optional(pool)
    .await?;
    match found {
        None => Ok(()),
        Some((role, reason)) => Err(DbError::RoleTooStrong { role, reason }),
    }
}

//! SQL of approvals.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use partita_db::{DbError, Tx};
use uuid::Uuid;

use super::{Approval, ApprovalState, Decision, Proposal};
use crate::actor::Actor;
use crate::id::ApprovalId;

struct Row {
    id: Uuid,
    key: Option<i64>,
    kind: String,
    object_id: Uuid,
    proposal: serde_json::Value,
    reason: String,
    state: String,
    made_by: String,
    decided_by: Option<String>,
    decision_reason: Option<String>,
    sequence: i32,
    created_at: jiff_sqlx::Timestamp,
    expires_at: jiff_sqlx::Timestamp,
    decided_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for Approval {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            key: row.key,
            proposal: Proposal::read(&row.kind, row.object_id, row.proposal)
                .expect("approvals_kind_known allows no other kind, and insert wrote it"),
            reason: row.reason,
            state: ApprovalState::parse(&row.state).expect("approvals_state_known allows no other word"),
            made_by: row.made_by,
            decided_by: row.decided_by,
            decision_reason: row.decision_reason,
            sequence: row.sequence,
            created_at: row.created_at.to_jiff(),
            expires_at: row.expires_at.to_jiff(),
            decided_at: row.decided_at.map(jiff_sqlx::Timestamp::to_jiff),
        }
    }
}

macro_rules! select {
    ($tail:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            Row,
            r#"select id, key, kind, object_id, proposal, reason, state, made_by, decided_by, decision_reason, sequence,
                      created_at as "created_at: _", expires_at as "expires_at: _", decided_at as "decided_at: _"
               from approvals "# + $tail
            $(, $argument)*
        )
    };
}

/// Stores a proposal; false: another one about the same object is pending.
pub(super) async fn insert(tx: &mut Tx, approval: &Approval) -> Result<bool, DbError> {
    let book = tx.book_id();
    let (object_type, _) = approval.proposal.target();
    let inserted = sqlx::query!(
        "insert into approvals (book_id, id, key, kind, object_type, object_id, proposal, reason, made_by, sequence,
                                created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (book_id, object_id) where state = 'pending' do nothing",
        book.get(),
        approval.id.uuid(),
        approval.key,
        approval.proposal.kind(),
        object_type,
        approval.proposal.place(),
        approval.proposal.to_json(),
        approval.reason,
        approval.made_by,
        approval.sequence,
        approval.created_at.to_sqlx() as _,
        approval.expires_at.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The proposal about an object that waits, locked.
pub(super) async fn find_pending_for_update(tx: &mut Tx, object: Uuid) -> Result<Option<Approval>, DbError> {
    let book = tx.book_id();
    let row =
        select!("where book_id = $1 and object_id = $2 and state = 'pending' for no key update", book.get(), object)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(Approval::from))
}

/// Whether a proposal about an object waits.
pub(super) async fn has_pending(tx: &mut Tx, object: Uuid) -> Result<bool, DbError> {
    let book = tx.book_id();
    let found = sqlx::query_scalar!(
        r#"select exists (select from approvals where book_id = $1 and object_id = $2 and state = 'pending') as "found!""#,
        book.get(),
        object
    );
    Ok(found.fetch_one(tx.conn()).await?)
}

/// The newest proposal about each of some objects, whatever became of it.
///
/// # Errors
/// What the database says.
pub async fn newest_of(tx: &mut Tx, objects: &[Uuid]) -> Result<HashMap<Uuid, ApprovalId>, DbError> {
    let book = tx.book_id();
    let rows = sqlx::query!(
        "select distinct on (object_id) object_id, id from approvals
         where book_id = $1 and object_id = any($2) order by object_id, id desc",
        book.get(),
        objects
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.object_id, row.id.into())).collect())
}

pub(super) async fn find_by_key_for_update(tx: &mut Tx, key: i64) -> Result<Option<Approval>, DbError> {
    let book = tx.book_id();
    let row =
        select!("where book_id = $1 and key = $2 for no key update", book.get(), key).fetch_optional(tx.conn()).await?;
    Ok(row.map(Approval::from))
}

/// Writes down that nobody decided in time; who calls holds the lock.
pub(super) async fn expire(tx: &mut Tx, approval: &Approval, now: Timestamp) -> Result<Approval, DbError> {
    let book = tx.book_id();
    sqlx::query!(
        "update approvals set state = 'expired', decided_at = $3, sequence = sequence + 1
         where book_id = $1 and id = $2 and state = 'pending'",
        book.get(),
        approval.id.uuid(),
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(find(tx, approval.id).await?.expect("locked by who calls"))
}

/// An approval by its id.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx, id: ApprovalId) -> Result<Option<Approval>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2", book.get(), id.uuid()).fetch_optional(tx.conn()).await?;
    Ok(row.map(Approval::from))
}

pub(super) async fn find_for_update(tx: &mut Tx, id: ApprovalId) -> Result<Option<Approval>, DbError> {
    let book = tx.book_id();
    let row = select!("where book_id = $1 and id = $2 for no key update", book.get(), id.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.map(Approval::from))
}

/// Decides a pending approval; who calls holds its lock and has checked who decides.
pub(super) async fn decide(
    tx: &mut Tx,
    approval: &Approval,
    actor: Actor,
    decision: Decision,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Approval, DbError> {
    let book = tx.book_id();
    let state = match decision {
        Decision::Approve => ApprovalState::Approved,
        Decision::Reject => ApprovalState::Rejected,
    };
    sqlx::query!(
        "update approvals
         set state = $3, decided_by = $4, decision_reason = $5, decided_at = $6, sequence = sequence + 1
         where book_id = $1 and id = $2",
        book.get(),
        approval.id.uuid(),
        state.as_str(),
        actor.to_string(),
        reason,
        now.to_sqlx() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(find(tx, approval.id).await?.expect("locked above"))
}

/// Approvals, newest first, older than `before`. Pending ones past their time count as expired.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    states: &[String],
    now: Timestamp,
    before: Option<ApprovalId>,
    limit: i64,
) -> Result<Vec<Approval>, DbError> {
    let book = tx.book_id();
    let rows = select!(
        "where book_id = $1 and ($3::uuid is null or id < $3)
            and (cardinality($2::text[]) = 0
                 or case when state = 'pending' and expires_at <= $5 then 'expired' else state end = any($2))
         order by id desc limit $4",
        book.get(),
        states,
        before.map(ApprovalId::uuid),
        limit,
        now.to_sqlx() as _
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Approval::from).collect())
}

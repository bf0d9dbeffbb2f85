-- What was written lately is found without a look at everything: verification of every minute goes by it.

set local lock_timeout = '2s';

create index outbox_recorded on outbox (book_id, recorded_at);
create index state_history_recorded on state_history (book_id, recorded_at);
create index operation_history_recorded on operation_history (book_id, recorded_at);
create index provider_movements_recorded on provider_movements (book_id, recorded_at);

comment on column verify_runs.depth is
    'new: what the ledger booked after the last verified position and what changed since the last run; complete: everything.';
comment on column due.kind is
    'The queue. inbox: the book has events in inbox_events that are not applied; one row per book, id 0. '
    'verify: the book''s complete verification; one row per book, id 0.';

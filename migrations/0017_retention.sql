-- What is not kept for ever: clients' idempotency keys, and the log of our webhooks. And events about what the provider
-- has not, which are not tried for ever.
--
-- Locks, until the commit: SHARE ROW EXCLUSIVE on idempotency_keys and webhook_deliveries, whose indexes are built, and
-- ACCESS EXCLUSIVE on webhook_delivery_attempts and inbox_events. An older release goes on reading the first two; what else
-- it does with these tables waits, and what waits longer than its lock_timeout stores nothing and is tried again.

set local lock_timeout = '2s';

create index idempotency_keys_by_age on idempotency_keys (book_id, created_at);
grant delete on idempotency_keys to partita_app;

create function idempotency_keys_keep_open() returns trigger language plpgsql as $$
begin
    if exists (
        select from operations o
        where o.book_id = old.book_id and o.object_id = old.object_id and o.state not in ('succeeded', 'failed')
    ) then
        raise exception 'a key is kept while its operation is open'
            using constraint = 'idempotency_keys_outlive_their_operation', errcode = '23514';
    end if;
    return old;
end $$;
comment on function idempotency_keys_keep_open() is 'Refuses to remove the key of a command that has not ended.';
create trigger idempotency_keys_open before delete on idempotency_keys
    for each row execute function idempotency_keys_keep_open();

create index webhook_deliveries_by_age on webhook_deliveries (book_id, updated_at)
    where status in ('delivered', 'failed', 'canceled');
grant delete on webhook_deliveries, webhook_delivery_attempts to partita_app;

create function webhook_deliveries_keep_open() returns trigger language plpgsql as $$
begin
    if old.status in ('pending', 'sending') then
        raise exception 'a delivery is kept until it has ended'
            using constraint = 'webhook_deliveries_open_are_kept', errcode = '23514';
    end if;
    return old;
end $$;
comment on function webhook_deliveries_keep_open() is 'Refuses to remove a delivery that has not ended.';
create trigger webhook_deliveries_open before delete on webhook_deliveries
    for each row execute function webhook_deliveries_keep_open();

-- An attempt never changes. It goes with its delivery, once that has ended.
create function webhook_delivery_attempts_keep_open() returns trigger language plpgsql as $$
begin
    if exists (
        select from webhook_deliveries d
        where d.book_id = old.book_id and d.id = old.delivery_id and d.status in ('pending', 'sending')
    ) then
        raise exception '% is append-only', tg_table_name
            using constraint = 'webhook_delivery_attempts_append_only', errcode = '23514';
    end if;
    return old;
end $$;
comment on function webhook_delivery_attempts_keep_open() is 'Refuses to remove attempts of a delivery that has not ended.';
drop trigger webhook_delivery_attempts_no_change on webhook_delivery_attempts;
create trigger webhook_delivery_attempts_no_change before update on webhook_delivery_attempts
    for each row execute function refuse_change();
create trigger webhook_delivery_attempts_no_removal before delete on webhook_delivery_attempts
    for each row execute function webhook_delivery_attempts_keep_open();

alter table inbox_events add column absent_since timestamptz;
comment on column inbox_events.absent_since is
    'Since when the provider says that it has no such object; none once it showed it. Business clock.';
grant update (absent_since) on inbox_events to partita_app;

-- Money that does not move on: what it is, whose, why, since when.
--
-- Locks: a new table only; SHARE ROW EXCLUSIVE on sellers for the foreign key, until the commit. SHARE on refunds while an index
-- over the few that wait is built: writes to it wait meanwhile, and one that waits longer than its lock_timeout stores nothing and
-- is tried again.

set local lock_timeout = '2s';

create index refunds_waiting on refunds (book_id, id) where status in ('pending', 'returned');

create table stuck_money (
    book_id integer not null,
    id uuid not null,
    cause text not null,
    seller_id uuid,
    object_type text not null,
    object_id uuid not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    since timestamptz not null,
    seen_at timestamptz not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint stuck_money_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint stuck_money_cause_known check (cause in (
        'not_onboarded', 'account_restricted', 'below_one_unit', 'transfers_refused', 'payouts_disabled', 'payouts_parked',
        'payouts_come_back', 'pending_too_long', 'clearing_too_long')),
    constraint stuck_money_status_known check (status in ('watched', 'open', 'cleared')),
    constraint stuck_money_watched_is_untold check ((status = 'watched') = (sequence = 0)),
    constraint stuck_money_object_type_known check (object_type in ('seller', 'platform', 'operation', 'refund', 'top_up'))
);
create unique index stuck_money_once on stuck_money (book_id, cause, object_id, currency) where status <> 'cleared';
create index stuck_money_by_seller on stuck_money (book_id, seller_id, id);
create index stuck_money_standing on stuck_money (book_id, seen_at) where status <> 'cleared';
comment on table stuck_money is 'Money that does not move on, found by a look at each book once a day.';
comment on column stuck_money.status is
    'watched: seen, and not for long enough to be told; open: told; cleared: it moved on. What was only watched is removed when it moves on.';
comment on column stuck_money.since is 'From when on it is known to stand there.';
comment on column stuck_money.seen_at is 'When it was last found to stand there, by the business clock.';

alter table stuck_money enable row level security;
alter table stuck_money force row level security;
create policy stuck_money_of_book on stuck_money using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert, delete on stuck_money to partita_app;
grant update (amount, status, seen_at, sequence, updated_at) on stuck_money to partita_app;

create function stuck_money_told_stays() returns trigger language plpgsql as $$
begin
    if old.status <> 'watched' then
        raise exception 'what was told stays' using constraint = 'stuck_money_told_stays', errcode = '23514';
    end if;
    return old;
end $$;
comment on function stuck_money_told_stays() is 'Only what was never told may be forgotten.';
create trigger stuck_money_stays before delete on stuck_money for each row execute function stuck_money_told_stays();

-- When the share of a payment's line is released: with the payment's money, some days after that or after delivery, or when the
-- platform says so; and how long it may be held.
--
-- A release of before knows no line that waits. It would make such a line's share usable with the payment's money and send it: let
-- the old processes end before a platform says of a line that it waits, or declares it.
--
-- Locks, until the commit: SHARE ROW EXCLUSIVE on payment_lines and sellers for the foreign keys of empty tables, ACCESS EXCLUSIVE
-- on stuck_money, whose few rows are read.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- what is declared

create table release_policies (
    book_id integer not null,
    version integer not null,
    release_from text not null,
    after_days integer not null,
    longest_hold_days integer not null,
    warn_days integer not null,
    at_limit text not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, version),
    constraint release_policies_from_known check (release_from in ('available', 'delivery', 'request')),
    constraint release_policies_days_in_range check (after_days between 0 and 730 and (release_from <> 'request' or after_days = 0)),
    constraint release_policies_longest_in_range check (longest_hold_days between 1 and 730),
    constraint release_policies_warn_in_range check (warn_days between 1 and 90),
    constraint release_policies_at_limit_known check (at_limit in ('keep', 'release'))
);
comment on table release_policies is
    'When shares of lines are released that do not say it themselves, and how long any may be held; the newest version holds for payments made from then on.';
comment on column release_policies.release_from is
    'From when on after_days count: available, when the provider made the money usable; delivery, when the platform tells it; request: only when the platform releases it.';
comment on column release_policies.longest_hold_days is 'How long money may be held after the charge, where no other figure stands for the seller''s country.';
comment on column release_policies.warn_days is 'How many days before that it is told.';
comment on column release_policies.at_limit is 'keep: it is told, and waits for a person; release: it is released.';

create table release_policy_limits (
    book_id integer not null,
    version integer not null,
    country char(2) not null,
    longest_hold_days integer not null,
    primary key (book_id, version, country),
    constraint release_policy_limits_policy foreign key (book_id, version) references release_policies (book_id, version),
    constraint release_policy_limits_in_range check (longest_hold_days between 1 and 730)
);
comment on table release_policy_limits is 'How long money may be held for sellers of a country.';

-- ---------------------------------------------------------------------------------------------- lines that wait

create table line_releases (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    payment_id uuid not null,
    line integer not null,
    seller_id uuid not null,
    release_from text not null,
    after_days integer not null,
    status text not null,
    reason text,
    delivered_at timestamptz,
    release_at timestamptz,
    longest_hold_days integer not null,
    warn_days integer not null,
    at_limit text not null,
    limit_at timestamptz,
    warned_at timestamptz,
    limit_told_at timestamptz,
    released_at timestamptz,
    released_amount bigint,
    sequence integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint line_releases_key_unique unique (book_id, key),
    constraint line_releases_line_unique unique (book_id, payment_id, line),
    constraint line_releases_line foreign key (book_id, payment_id, line) references payment_lines (book_id, payment_id, line),
    constraint line_releases_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint line_releases_from_known check (release_from in ('available', 'delivery', 'request')),
    constraint line_releases_days_in_range check (after_days between 0 and 730),
    constraint line_releases_status_known check (status in ('waiting', 'held', 'released')),
    constraint line_releases_held_has_no_date check (status <> 'held' or release_at is null),
    constraint line_releases_released_whole check ((status = 'released') = (released_at is not null)
                                                   and (status = 'released') = (released_amount is not null)),
    constraint line_releases_longest_in_range check (longest_hold_days between 1 and 730),
    constraint line_releases_at_limit_known check (at_limit in ('keep', 'release')),
    constraint line_releases_reason_length check (length(btrim(reason)) between 1 and 1000)
);
create index line_releases_standing on line_releases (book_id, seller_id, limit_at) where status <> 'released';
comment on table line_releases is
    'Lines of payments whose share is not released with the payment''s money, and what became of it. Others have no row.';
comment on column line_releases.status is
    'waiting: for its date, or for what its date counts from; held: by a person, until it is released; released: the share is its seller''s.';
comment on column line_releases.reason is 'Why a person holds it.';
comment on column line_releases.release_at is 'When it is released, but not before the payment''s money is usable; none while that is not known.';
comment on column line_releases.limit_at is 'Until when it may be held: longest_hold_days after the charge.';
comment on column line_releases.warned_at is 'When it was told that limit_at is near.';
comment on column line_releases.limit_told_at is 'When it was told that limit_at has passed.';
comment on column line_releases.released_amount is 'What of it became usable then; minor units, signed.';

create function line_releases_go_onwards() returns trigger language plpgsql as $$
begin
    if old.status = 'released' then
        raise exception 'a share that is released stays so' using constraint = 'line_releases_onwards', errcode = '23514';
    end if;
    if new.status = 'released' and not exists (
        select from payments where book_id = new.book_id and id = new.payment_id and funds = 'available') then
        raise exception 'no share is released before its payment''s money is usable'
            using constraint = 'line_releases_not_before_available', errcode = '23514';
    end if;
    return new;
end $$;
comment on function line_releases_go_onwards() is 'A share is released once, and never before its payment''s money is usable.';
create trigger line_releases_onwards before update on line_releases for each row execute function line_releases_go_onwards();

create function payment_line_share(l payment_lines) returns bigint language sql immutable as $$
    select l.amount - l.uncaptured_amount - l.refunded_amount - l.failed_amount
         - (l.commission - l.uncaptured_commission - l.returned_commission - l.failed_commission)
         + case l.tax_liability when 'seller'
               then l.tax_amount - l.uncaptured_tax - l.refunded_tax - l.failed_tax else 0 end
         - l.withheld_share - l.passed_fee
$$;
comment on function payment_line_share(payment_lines) is
    'What a line''s seller is entitled to of it, after commission, fees, refunds and what disputes keep; minor units, signed.';

-- ---------------------------------------------------------------------------------------------- what waits for too long

alter table stuck_money
    drop constraint stuck_money_cause_known,
    add constraint stuck_money_cause_known check (cause in (
        'not_onboarded', 'account_restricted', 'below_one_unit', 'transfers_refused', 'payouts_disabled', 'payouts_parked',
        'payouts_come_back', 'pending_too_long', 'clearing_too_long', 'held_too_long')),
    drop constraint stuck_money_object_type_known,
    add constraint stuck_money_object_type_known
        check (object_type in ('seller', 'platform', 'operation', 'refund', 'top_up', 'payout', 'payment_line'));

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['release_policies', 'release_policy_limits', 'line_releases'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
        execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()',
            name || '_no_truncate', name);
    end loop;
    foreach name in array array['release_policies', 'release_policy_limits'] loop
        execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()',
            name || '_no_change', name);
    end loop;
end $$;
create trigger line_releases_no_delete before delete on line_releases for each row execute function refuse_change();
grant update (status, reason, delivered_at, release_at, limit_at, warned_at, limit_told_at, released_at, released_amount,
              sequence, updated_at) on line_releases to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (6, 'line_released', 'A line''s share that waited by itself became usable.');

insert into state_changes_allowed (object_type, from_state, to_state) values
    ('release_policy', '', 'declared'),
    ('payment_line', '', 'waiting'),
    ('payment_line', '', 'held'),
    ('payment_line', 'held', 'waiting'),
    ('payment_line', 'waiting', 'held'),
    ('payment_line', 'waiting', 'released'),
    ('payment_line', 'held', 'released');

-- Reserves: what of sellers' money is kept back, by which rule or by whose hand, and until when.
--
-- Locks: new tables only; SHARE ROW EXCLUSIVE on sellers and payments for the foreign keys, until the commit, of empty tables.
-- A release of before keeps nothing back and uses no reserve first; what is kept back it cannot send, as that does not stand in
-- what it sends from.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- the rules

create table reserve_policies (
    book_id integer not null,
    version integer not null,
    seller_id uuid,
    inherits boolean not null,
    rolling_bps integer,
    hold_days integer,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, version),
    constraint reserve_policies_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint reserve_policies_rolling_is_whole check ((rolling_bps is null) = (hold_days is null)),
    constraint reserve_policies_bps_in_range check (rolling_bps between 1 and 10000),
    constraint reserve_policies_days_in_range check (hold_days between 1 and 3650),
    constraint reserve_policies_inherits_alone check (not inherits or (seller_id is not null and rolling_bps is null))
);
create index reserve_policies_by_seller on reserve_policies (book_id, seller_id, version desc);
comment on table reserve_policies is
    'What is kept back of sellers'' shares; the newest version for a seller holds, or the newest for all. None: nothing.';
comment on column reserve_policies.seller_id is 'The seller that it is for; none: every seller without one of its own.';
comment on column reserve_policies.inherits is 'The seller has no rule of its own any more.';
comment on column reserve_policies.rolling_bps is 'Of each share that is released, in hundredths of a per cent. None: no rolling reserve.';
comment on column reserve_policies.hold_days is 'For how many days after its release.';

create table reserve_policy_amounts (
    book_id integer not null,
    version integer not null,
    currency char(3) not null,
    amount bigint not null,
    primary key (book_id, version, currency),
    constraint reserve_policy_amounts_policy foreign key (book_id, version) references reserve_policies (book_id, version),
    constraint reserve_policy_amounts_positive check (amount > 0)
);
comment on table reserve_policy_amounts is 'Up to which amount a fixed reserve is filled, by currency; minor units.';

-- ---------------------------------------------------------------------------------------------- reserves

create table reserves (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    seller_id uuid not null,
    payment_id uuid,
    kind text not null,
    policy_version integer,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    taken_amount bigint not null default 0,
    drawn_amount bigint not null default 0,
    released_amount bigint not null default 0,
    reason text,
    release_at timestamptz,
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint reserves_key_unique unique (book_id, key),
    constraint reserves_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint reserves_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint reserves_policy foreign key (book_id, policy_version) references reserve_policies (book_id, version),
    constraint reserves_kind_known check (kind in ('rolling', 'fixed', 'manual')),
    constraint reserves_status_known check (status in ('open', 'releasing', 'released')),
    constraint reserves_amount_positive check (amount > 0),
    constraint reserves_amounts_within check (
        drawn_amount >= 0 and released_amount >= 0 and drawn_amount + released_amount <= taken_amount),
    constraint reserves_taken_within check (kind = 'fixed' or taken_amount <= amount),
    constraint reserves_rolling_of_a_payment check ((kind = 'rolling') = (payment_id is not null)),
    constraint reserves_by_hand_or_rule check ((kind = 'manual') = (policy_version is null) and (kind = 'manual') = (reason is not null)),
    constraint reserves_fixed_have_no_date check ((kind = 'fixed') = (release_at is null)),
    constraint reserves_released_hold_nothing check (status <> 'released' or drawn_amount + released_amount = taken_amount),
    constraint reserves_reason_length check (length(btrim(reason)) between 1 and 1000)
);
create unique index reserves_rolling_once on reserves (book_id, payment_id, seller_id) where kind = 'rolling';
create unique index reserves_fixed_once on reserves (book_id, seller_id, currency) where kind = 'fixed' and status = 'open';
create index reserves_filled_by_sales on reserves (book_id, seller_id) where kind <> 'rolling' and status = 'open';
create index reserves_by_seller on reserves (book_id, seller_id, id);
create index reserves_not_released on reserves (book_id, seller_id, release_at) where status <> 'released';
comment on table reserves is 'What of a seller''s money is kept back, why and until when.';
comment on column reserves.kind is
    'rolling: of one share, by a rule, until a date; fixed: by a rule, filled by sales up to an amount; manual: a person''s decision, '
    'filled by sales up to an amount, until a date.';
comment on column reserves.payment_id is 'The payment whose share a rolling reserve is of.';
comment on column reserves.amount is 'How much is to be kept back; minor units.';
comment on column reserves.status is 'open: it keeps and is filled; releasing: what is left goes back to the seller; released: it holds nothing any more.';
comment on column reserves.taken_amount is 'What sales have put in.';
comment on column reserves.drawn_amount is 'What refunds, disputes and late failures of the very payments took first.';
comment on column reserves.released_amount is 'What went back to the seller.';

create table reserve_moves (
    book_id integer not null,
    key bigint not null,
    reserve_id uuid not null,
    payment_id uuid not null,
    kind text not null,
    amount bigint not null,
    cause_id uuid,
    created_at timestamptz not null,
    primary key (book_id, key),
    constraint reserve_moves_reserve foreign key (book_id, reserve_id) references reserves (book_id, id),
    constraint reserve_moves_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint reserve_moves_kind_known check (kind in ('take', 'draw', 'restore', 'release')),
    constraint reserve_moves_amount_positive check (amount > 0),
    constraint reserve_moves_cause_of_draws check ((kind in ('draw', 'restore')) = (cause_id is not null))
);
create index reserve_moves_by_reserve on reserve_moves (book_id, reserve_id, payment_id);
create index reserve_moves_by_payment on reserve_moves (book_id, payment_id);
create index reserve_moves_by_cause on reserve_moves (book_id, cause_id) where cause_id is not null;
comment on table reserve_moves is 'What went into a reserve and out of it, of which payment. Each is one transaction of the ledger, by its key.';
comment on column reserve_moves.kind is
    'take: put in; draw: used for what cause_id names, before anything else of the seller; restore: put back, as that did not stay; '
    'release: given back to the seller.';
comment on column reserve_moves.cause_id is 'The refund, the dispute, or the payment that failed late.';

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['reserve_policies', 'reserve_policy_amounts', 'reserves', 'reserve_moves'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
    foreach name in array array['reserve_policies', 'reserve_policy_amounts', 'reserve_moves'] loop
        execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()',
            name || '_no_change', name);
        execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()',
            name || '_no_truncate', name);
    end loop;
end $$;
create trigger reserves_no_delete before delete on reserves for each row execute function refuse_change();
create trigger reserves_no_truncate before truncate on reserves for each statement execute function refuse_change();

create function reserves_go_onwards() returns trigger language plpgsql as $$
begin
    if old.status = 'released' or (old.status = 'releasing' and new.status = 'open')
        or new.taken_amount < old.taken_amount or new.released_amount < old.released_amount then
        raise exception 'a reserve that is released stays so' using constraint = 'reserves_onwards', errcode = '23514';
    end if;
    return new;
end $$;
comment on function reserves_go_onwards() is
    'A reserve is opened, released and over; of what it was drawn for, some may be put back.';
create trigger reserves_onwards before update on reserves for each row execute function reserves_go_onwards();

grant update (status, amount, taken_amount, drawn_amount, released_amount, sequence, updated_at) on reserves to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (90, 'reserve_taken', 'Of a seller''s money, something is kept back.'),
    (91, 'reserve_drawn', 'What was kept back of a payment is used for its refund, dispute or late failure, before anything else.'),
    (92, 'reserve_restored', 'What a reserve was used for did not stay: it is kept back again.'),
    (93, 'reserve_released', 'What was kept back is the seller''s again.');

-- Adjustments by hand, and approvals of more than commands in doubt.
--
-- A release of before decides only about operations: approvals of other kinds it cannot read, nor transfers without a payment.
-- Make adjustments once every process knows them.
--
-- Locks: ACCESS EXCLUSIVE on transfers, transfer_reversals and approvals, until the commit. Nothing here reads a row of them
-- (nullable columns, constraints not valid yet), so that is milliseconds. 0026 looks at the rows.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- approvals

alter table approvals
    add column key bigint,
    drop constraint approvals_kind_known,
    add constraint approvals_kind_known
        check (kind in ('operation_resolution', 'adjustment', 'adjustment_limit', 'debt_write_off')) not valid,
    add constraint approvals_key_unique unique (book_id, key);
create index approvals_by_object on approvals (book_id, object_id, id);
comment on column approvals.kind is
    'operation_resolution: what became of a command in needs_review; adjustment: money of a seller by hand, above what one person may '
    'do alone; adjustment_limit: what that is; debt_write_off: a seller''s debt is given up.';
comment on column approvals.key is 'Its number in due, which ends it when nobody decides. None on rows of releases before it.';

-- ---------------------------------------------------------------------------------------------- adjustments

create table adjustments (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text not null,
    seller_id uuid not null,
    direction text not null,
    amount bigint not null,
    currency char(3) not null,
    reason text not null,
    note text not null,
    status text not null,
    reverses uuid,
    metadata jsonb not null default '{}',
    created_by text not null,
    approved_by text,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint adjustments_key_unique unique (book_id, key),
    constraint adjustments_reference_unique unique (book_id, reference),
    constraint adjustments_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint adjustments_reverses foreign key (book_id, reverses) references adjustments (book_id, id),
    constraint adjustments_direction_known check (direction in ('credit', 'debit')),
    constraint adjustments_reason_known check (reason in ('goodwill', 'penalty', 'fee_correction', 'other')),
    constraint adjustments_status_known check (status in ('pending', 'booked', 'rejected', 'expired')),
    constraint adjustments_amount_positive check (amount > 0),
    constraint adjustments_note_length check (length(btrim(note)) between 1 and 1000),
    constraint adjustments_maker_is_not_checker check (approved_by <> created_by),
    constraint adjustments_approved_are_booked check (approved_by is null or status = 'booked')
);
create index adjustments_by_seller on adjustments (book_id, seller_id, id);
create index adjustments_by_maker on adjustments (book_id, created_by, created_at);
create unique index adjustments_reversed_once on adjustments (book_id, reverses) where status in ('pending', 'booked');
comment on table adjustments is 'Money that people gave a seller or took from it by hand. What it says never changes; it is undone by another one.';
comment on column adjustments.direction is 'credit: the seller gets it; debit: the seller gives it.';
comment on column adjustments.reason is 'Says which account of the platform''s is on the other side: docs/postings.md.';
comment on column adjustments.status is 'pending: a second person has to agree; booked; rejected, expired: nothing was booked.';
comment on column adjustments.reverses is 'The adjustment that this one undoes.';
comment on column adjustments.approved_by is 'Who agreed; none where one person was enough.';

create table adjustment_limits (
    book_id integer not null,
    currency char(3) not null,
    version integer not null,
    alone_up_to bigint not null,
    created_by text not null,
    approved_by text not null,
    created_at timestamptz not null,
    primary key (book_id, currency, version),
    constraint adjustment_limits_amount_positive check (alone_up_to >= 0),
    constraint adjustment_limits_maker_is_not_checker check (approved_by <> created_by)
);
comment on table adjustment_limits is
    'How much one key may adjust alone in a day of UTC, by currency; the newest version holds. None: nothing.';

-- ---------------------------------------------------------------------------------------------- transfers of adjustments

alter table transfers
    alter column payment_id drop not null,
    add column adjustment_id uuid,
    add constraint transfers_adjustment foreign key (book_id, adjustment_id) references adjustments (book_id, id) not valid,
    add constraint transfers_of_one check (num_nonnulls(payment_id, adjustment_id) = 1) not valid;
comment on table transfers is 'A seller''s share of a payment, or an adjustment, moved to its account at the provider.';
comment on column transfers.payment_id is 'The payment whose share it moves; none where it moves an adjustment.';
comment on column transfers.adjustment_id is 'The adjustment that it moves.';

alter table transfer_reversals
    alter column payment_id drop not null,
    add column adjustment_id uuid,
    add constraint transfer_reversals_of_one check (num_nonnulls(payment_id, adjustment_id) = 1) not valid;

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['adjustments', 'adjustment_limits'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end $$;
create trigger adjustment_limits_no_change before update or delete on adjustment_limits
    for each row execute function refuse_change();
create trigger adjustment_limits_no_truncate before truncate on adjustment_limits
    for each statement execute function refuse_change();
create trigger adjustments_no_delete before delete on adjustments for each row execute function refuse_change();
create trigger adjustments_no_truncate before truncate on adjustments for each statement execute function refuse_change();

create function adjustments_end_once() returns trigger language plpgsql as $$
begin
    if old.status <> 'pending' then
        raise exception 'an adjustment is decided once' using constraint = 'adjustments_ended_once', errcode = '23514';
    end if;
    return new;
end $$;
comment on function adjustments_end_once() is 'Keeps what was booked and what was turned down as it is.';
create trigger adjustments_ends before update on adjustments for each row execute function adjustments_end_once();

grant update (status, approved_by, sequence, updated_at) on adjustments to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (70, 'adjustment_booked', 'People gave a seller money, or took it, by hand.');

-- A second person where one key could decide alone: what becomes of refunds that came back, and what loosens the recovery ladder.
-- And a captured share is of the command that captures it.
--
-- A release of before cannot read approvals of the new kinds, and lets one key decide: approve once every process knows them.
--
-- Locks: ACCESS EXCLUSIVE on approvals and recovery_policies, SHARE ROW EXCLUSIVE on refunds and payment_captures, until the
-- commit. Nothing here reads a row of a table that grows with sales (constraints not valid yet, columns that may be null, new
-- tables), so that is milliseconds. 0040 looks at the rows.

set local lock_timeout = '2s';

alter table approvals
    drop constraint approvals_kind_known,
    add constraint approvals_kind_known check (kind in (
        'operation_resolution', 'adjustment', 'adjustment_limit', 'debt_write_off', 'refund_resolution',
        'refund_resolution_limit', 'recovery_policy')) not valid;
comment on column approvals.kind is
    'operation_resolution: what became of a command in needs_review; adjustment: money of a seller by hand, above what one person may '
    'do alone; adjustment_limit: what that is; debt_write_off: a seller''s debt is given up; refund_resolution: what becomes of a '
    'refund that came back, above what one person may decide alone; refund_resolution_limit: what that is; recovery_policy: a '
    'ladder that recovers less.';

-- ---------------------------------------------------------------------------------------------- refunds that came back

create table refund_resolutions (
    book_id integer not null,
    refund_id uuid not null,
    outcome text not null,
    amount bigint not null,
    currency char(3) not null,
    made_by text not null,
    approved_by text,
    created_at timestamptz not null,
    primary key (book_id, refund_id),
    constraint refund_resolutions_refund foreign key (book_id, refund_id) references refunds (book_id, id),
    constraint refund_resolutions_outcome_known check (outcome in ('reinstated', 'paid_from_bank')),
    constraint refund_resolutions_amount_positive check (amount > 0),
    constraint refund_resolutions_maker_is_not_checker check (approved_by <> made_by)
);
create index refund_resolutions_by_maker on refund_resolutions (book_id, made_by, created_at);
comment on table refund_resolutions is 'What people decided about refunds that came back, once each.';
comment on column refund_resolutions.approved_by is 'Who agreed; none where one person was enough.';

create table refund_resolution_limits (
    book_id integer not null,
    currency char(3) not null,
    version integer not null,
    alone_up_to bigint not null,
    created_by text not null,
    approved_by text not null,
    created_at timestamptz not null,
    primary key (book_id, currency, version),
    constraint refund_resolution_limits_amount_positive check (alone_up_to >= 0),
    constraint refund_resolution_limits_maker_is_not_checker check (approved_by <> created_by)
);
comment on table refund_resolution_limits is
    'Of refunds that came back, how much one key may decide about alone in a day of UTC, by currency; the newest version holds. None: nothing.';

-- ---------------------------------------------------------------------------------------------- the ladder

alter table recovery_policies
    add column approved_by text,
    add constraint recovery_policies_maker_is_not_checker check (approved_by <> created_by) not valid;
comment on column recovery_policies.approved_by is 'Who agreed to a ladder that recovers less; none where it recovers as much or more.';

-- ---------------------------------------------------------------------------------------------- captured shares

create function payment_captures_are_of_their_command() returns trigger language plpgsql as $$
begin
    if not exists (
        select from operations o
        where o.book_id = new.book_id and o.id = new.operation_id and o.kind = 'capture_payment' and o.object_id = new.payment_id)
    then
        raise exception 'a captured share is of the command that captures its payment'
            using constraint = 'payment_captures_of_command', errcode = '23514';
    end if;
    return new;
end $$;
comment on function payment_captures_are_of_their_command() is
    'Keeps shares from being read for another payment than the one that their command captures.';
create trigger payment_captures_of_command before insert on payment_captures
    for each row execute function payment_captures_are_of_their_command();

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['refund_resolutions', 'refund_resolution_limits'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
        execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()',
            name || '_no_change', name);
        execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()',
            name || '_no_truncate', name);
    end loop;
end $$;

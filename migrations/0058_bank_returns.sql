-- A second person where one key could say that a bank sent a payout back: the money is the seller's again, and may be paid once more.
--
-- A release of before cannot read approvals of the new kinds: approve once every process knows them.
--
-- Locks, until the commit: ACCESS EXCLUSIVE on approvals, of which no row is read; SHARE ROW EXCLUSIVE on payouts, for a moment. What
-- is in approvals was written under the narrower list, so that the new constraint need not look at it.

set local lock_timeout = '2s';

alter table approvals
    drop constraint approvals_kind_known,
    add constraint approvals_kind_known check (kind in (
        'operation_resolution', 'adjustment', 'adjustment_limit', 'debt_write_off', 'refund_resolution',
        'refund_resolution_limit', 'recovery_policy', 'payout_return', 'payout_return_limit')) not valid;
comment on column approvals.kind is
    'operation_resolution: what became of a command in needs_review; adjustment: money of a seller by hand, above what one person may '
    'do alone; adjustment_limit: what that is; debt_write_off: a seller''s debt is given up; refund_resolution: what becomes of a '
    'refund that came back, above what one person may decide alone; refund_resolution_limit: what that is; recovery_policy: a '
    'ladder that recovers less; payout_return: a bank sent a payout back, above what one person may say alone; payout_return_limit: '
    'what that is.';

create table payout_returns (
    book_id integer not null,
    payout_id uuid not null,
    code text not null,
    amount bigint not null,
    currency char(3) not null,
    made_by text not null,
    approved_by text,
    created_at timestamptz not null,
    primary key (book_id, payout_id),
    constraint payout_returns_payout foreign key (book_id, payout_id) references payouts (book_id, id),
    constraint payout_returns_amount_positive check (amount > 0),
    constraint payout_returns_maker_is_not_checker check (approved_by <> made_by)
);
create index payout_returns_by_maker on payout_returns (book_id, made_by, created_at);
comment on table payout_returns is 'Payouts by bank file that people said the bank sent back, once each.';
comment on column payout_returns.approved_by is 'Who agreed; none where one person was enough.';

create table payout_return_limits (
    book_id integer not null,
    currency char(3) not null,
    version integer not null,
    alone_up_to bigint not null,
    created_by text not null,
    approved_by text not null,
    created_at timestamptz not null,
    primary key (book_id, currency, version),
    constraint payout_return_limits_amount_positive check (alone_up_to >= 0),
    constraint payout_return_limits_maker_is_not_checker check (approved_by <> created_by)
);
comment on table payout_return_limits is
    'Of payouts by bank file, how much one key may say alone in a day of UTC that it came back, by currency; the newest version holds. None: nothing.';

do $$
declare
    name text;
begin
    foreach name in array array['payout_returns', 'payout_return_limits'] loop
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

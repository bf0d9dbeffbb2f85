-- Debts of sellers, and the ladder by which they are recovered. And a look at the rows that were there before 0025.
--
-- Locks: SHARE UPDATE EXCLUSIVE on approvals, transfers and transfer_reversals until the commit; everybody goes on reading and
-- writing.

set local lock_timeout = '2s';

-- transfers_adjustment stays as it is: to validate a foreign key reads rows, which the policy allows under a book only. Rows from
-- before it name no adjustment.
alter table approvals validate constraint approvals_kind_known;
alter table transfers validate constraint transfers_of_one;
alter table transfer_reversals validate constraint transfer_reversals_of_one;

-- ---------------------------------------------------------------------------------------------- the ladder

create table recovery_policies (
    book_id integer not null,
    version integer not null,
    rung text not null,
    after_days integer not null,
    up_to bigint,
    owner text not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, version, rung),
    constraint recovery_policies_rung_known check (rung in ('reverse_transfers', 'net_from_sales', 'write_off')),
    constraint recovery_policies_after_days_in_range check (after_days between 0 and 3650),
    constraint recovery_policies_up_to_positive check (up_to > 0),
    constraint recovery_policies_owner_length check (length(btrim(owner)) between 1 and 100)
);
comment on table recovery_policies is
    'How a platform recovers what sellers are short of, rung by rung; the newest version holds. None: src/debts/policy.rs.';
comment on column recovery_policies.after_days is 'From which age of the shortfall on the rung may be stood on.';
comment on column recovery_policies.up_to is 'The largest debt that it is for; minor units. None: any.';
comment on column recovery_policies.owner is 'Who looks after debts on this rung, in the platform''s words.';

-- ---------------------------------------------------------------------------------------------- debts

create table debts (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    seller_id uuid not null,
    payment_id uuid,
    adjustment_id uuid,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    paid_amount bigint not null default 0,
    written_off_amount bigint not null default 0,
    recovered_amount bigint not null default 0,
    short_since timestamptz not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint debts_key_unique unique (book_id, key),
    constraint debts_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint debts_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint debts_adjustment foreign key (book_id, adjustment_id) references adjustments (book_id, id),
    constraint debts_of_one check (num_nonnulls(payment_id, adjustment_id) = 1),
    constraint debts_status_known check (status in ('open', 'paid', 'written_off')),
    constraint debts_amounts_within check (
        amount > 0 and paid_amount >= 0 and written_off_amount >= 0 and paid_amount + written_off_amount <= amount),
    constraint debts_recovered_within check (recovered_amount between 0 and written_off_amount),
    constraint debts_open_while_owed check ((status = 'open') = (paid_amount + written_off_amount < amount)),
    constraint debts_written_off_says_so check ((status = 'written_off') = (written_off_amount > 0))
);
create index debts_open on debts (book_id, seller_id, short_since, id) where status = 'open';
create index debts_by_payment on debts (book_id, payment_id);
create index debts_by_adjustment on debts (book_id, adjustment_id);
comment on table debts is 'What a seller was short of at the end of a day, of one payment or adjustment, and owes since.';
comment on column debts.status is 'open; paid: out of later money of the seller; written_off: what was left of it was given up by two people.';
comment on column debts.recovered_amount is 'Of what was written off, what came back all the same.';
comment on column debts.short_since is 'From when on the money was missing: its age counts from here.';

create table debt_settlements (
    book_id integer not null,
    key bigint not null,
    debt_id uuid not null,
    payment_id uuid,
    adjustment_id uuid,
    kind text not null,
    amount bigint not null,
    created_at timestamptz not null,
    primary key (book_id, key),
    constraint debt_settlements_debt foreign key (book_id, debt_id) references debts (book_id, id),
    constraint debt_settlements_of_one check (num_nonnulls(payment_id, adjustment_id) = 1),
    constraint debt_settlements_kind_known check (kind in ('offset', 'recovery', 'return')),
    constraint debt_settlements_amount_positive check (amount > 0)
);
create index debt_settlements_by_debt on debt_settlements (book_id, debt_id);
create index debt_settlements_by_payment on debt_settlements (book_id, payment_id);
create index debt_settlements_by_adjustment on debt_settlements (book_id, adjustment_id);
comment on table debt_settlements is 'What of a payment or an adjustment went to a debt instead of to its seller.';
comment on column debt_settlements.kind is
    'offset: the debt was open; recovery: it had been written off; return: an offset is given back, as the debt''s own money came.';

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['recovery_policies', 'debts', 'debt_settlements'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
    foreach name in array array['recovery_policies', 'debt_settlements'] loop
        execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()',
            name || '_no_change', name);
        execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()',
            name || '_no_truncate', name);
    end loop;
end $$;
create trigger debts_no_delete before delete on debts for each row execute function refuse_change();
create trigger debts_no_truncate before truncate on debts for each statement execute function refuse_change();
grant update (status, paid_amount, written_off_amount, recovered_amount, sequence, updated_at) on debts to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (71, 'debt_opened', 'What a seller was short of at the end of a day is its debt.'),
    (72, 'debt_offset', 'Later money of the seller paid a debt.'),
    (73, 'debt_written_off', 'Two people gave a debt up.'),
    (74, 'debt_recovered', 'Of a debt that was written off, something came back.'),
    (75, 'debt_returned', 'What had paid a debt is the seller''s again, as the debt''s own money came back.');

-- Disputes: a buyer's bank takes a charge back, in part or whole.
--
-- A release of before sets events of disputes aside as meaning nothing to it; reconciliation finds their movements and
-- books them once processes that know disputes do it. It plans refunds and transfers without a look at disputes: the
-- constraints of payment_lines refuse a refund of what is disputed, and the floor of available a transfer of what is held.
--
-- Locks: ACCESS EXCLUSIVE on payment_lines and SHARE ROW EXCLUSIVE on payments, until the commit. Nothing here reads a row
-- of them (columns with constant defaults, constraints not valid yet), so that is milliseconds. 0019 looks at the lines.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- what the lines know of it

alter table payment_lines
    add column disputed_amount bigint not null default 0,
    add column disputed_tax bigint not null default 0,
    add column disputed_commission bigint not null default 0,
    add column withheld_share bigint not null default 0;
alter table payment_lines
    add constraint payment_lines_dispute_within_amount check (disputed_amount >= 0 and refunded_amount + disputed_amount <= amount) not valid,
    add constraint payment_lines_dispute_within_tax check (disputed_tax >= 0 and refunded_tax + disputed_tax <= tax_amount) not valid,
    add constraint payment_lines_dispute_within_fee
        check (disputed_commission >= 0 and returned_commission + disputed_commission <= commission) not valid;
comment on column payment_lines.disputed_amount is
    'Of amount, what disputes have taken that are open or lost: the buyer has it, and no refund may give it again.';
comment on column payment_lines.withheld_share is
    'What disputes keep from the line''s seller: held while one is open, gone when it was lost at the seller''s cost.';

-- ---------------------------------------------------------------------------------------------- who bears a lost dispute

create table dispute_policies (
    book_id integer not null,
    version integer not null,
    liability text not null,
    hold text not null,
    tax_relief boolean not null,
    fee text not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, version),
    constraint dispute_policies_liability_known check (liability in ('sellers', 'platform')),
    constraint dispute_policies_hold_known check (hold in ('shares', 'nothing')),
    constraint dispute_policies_fee_known check (fee in ('platform', 'sellers'))
);
comment on table dispute_policies is
    'What a platform has declared about disputes; the newest version holds for disputes opened from then on. None: version 0, see src/disputes/policy.rs.';
comment on column dispute_policies.liability is 'Who bears the amount of a lost dispute.';
comment on column dispute_policies.hold is 'Whether sellers'' shares are held while a dispute is open.';
comment on column dispute_policies.tax_relief is 'Whether the tax of a lost sale is not owed any more.';
comment on column dispute_policies.fee is 'Who bears the fee of a lost dispute.';

-- ---------------------------------------------------------------------------------------------- disputes

create table disputes (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    payment_id uuid not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    reason text not null,
    due_by timestamptz,
    submissions integer not null default 0,
    withdrawn_amount bigint not null default 0,
    reinstated_amount bigint not null default 0,
    fee bigint not null default 0,
    policy_version integer not null,
    liability text not null,
    hold text not null,
    tax_relief boolean not null,
    fee_bearer text not null,
    provider text not null,
    provider_dispute text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint disputes_key_unique unique (book_id, key),
    constraint disputes_provider_unique unique (book_id, provider_dispute, provider),
    constraint disputes_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint disputes_status_known check (status in ('inquiry', 'needs_response', 'under_review', 'won', 'lost', 'closed')),
    constraint disputes_liability_known check (liability in ('sellers', 'platform')),
    constraint disputes_hold_known check (hold in ('shares', 'nothing')),
    constraint disputes_fee_bearer_known check (fee_bearer in ('platform', 'sellers')),
    constraint disputes_amounts_positive check (amount > 0 and withdrawn_amount >= 0 and submissions >= 0),
    constraint disputes_reinstated_within_withdrawn check (reinstated_amount between 0 and withdrawn_amount)
);
create index disputes_by_payment on disputes (book_id, payment_id);
create index disputes_by_due on disputes (book_id, due_by) where status in ('inquiry', 'needs_response');
comment on table disputes is 'A charge that the buyer''s bank takes back, or asks about.';
comment on column disputes.status is
    'inquiry: the bank asks and has taken nothing; needs_response; under_review; won: the money is back; lost; closed: it ended before money was taken.';
comment on column disputes.fee is 'What the provider took for it and did not give back; minor units.';
comment on column disputes.policy_version is 'The declared policy that it was opened under, copied beside it.';

create table dispute_lines (
    book_id integer not null,
    dispute_id uuid not null,
    line integer not null,
    amount bigint not null,
    tax_amount bigint not null,
    commission bigint not null,
    fee bigint not null,
    primary key (book_id, dispute_id, line),
    constraint dispute_lines_dispute foreign key (book_id, dispute_id) references disputes (book_id, id),
    constraint dispute_lines_amounts_positive check (amount >= 0 and tax_amount >= 0 and amount + tax_amount > 0),
    constraint dispute_lines_commission_positive check (commission >= 0 and fee >= 0)
);
comment on table dispute_lines is 'What each line of the payment has in a dispute that took money: net goods, tax, commission, and its part of the fee where sellers bear that.';

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['dispute_policies', 'disputes', 'dispute_lines'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
    foreach name in array array['dispute_policies', 'dispute_lines'] loop
        execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()',
            name || '_no_change', name);
        execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()',
            name || '_no_truncate', name);
    end loop;
end $$;

grant update (disputed_amount, disputed_tax, disputed_commission, withheld_share) on payment_lines to partita_app;
grant update (status, reason, due_by, submissions, withdrawn_amount, reinstated_amount, fee, sequence, updated_at)
    on disputes to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (60, 'dispute_withdrawn', 'The provider took a disputed amount and its fee.'),
    (61, 'dispute_held', 'Sellers'' shares of what is disputed are held.'),
    (62, 'dispute_reinstated', 'The provider gave a disputed amount back.'),
    (63, 'dispute_won', 'Sellers'' held shares are theirs again.'),
    (64, 'dispute_lost', 'A disputed amount is borne by whom the policy names.');

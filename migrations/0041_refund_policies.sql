-- Who bears what of refunds, declared; the processor's fee passed to sellers, at the charge by a rule of the fee policy, or with
-- what is refunded; and the tax on commissions. One table with rows of before in each file, to 0051, which looks at them.
--
-- A release of before refunds by what each request says, passes no fee and knows no tax on commissions: declare a policy, and give
-- rules of fee policies a bearer or a tax, once every process knows them.
--
-- Locks: ACCESS EXCLUSIVE on refunds until the commit, and on no other table that is written to: who waits for it holds nothing
-- that it waits for. It reads no row (columns with constant defaults, constraints not valid yet), so that is milliseconds.

set local lock_timeout = '2s';

create table refund_policies (
    book_id integer not null,
    version integer not null,
    commission text not null,
    processor_fee text not null,
    tax text not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, version),
    constraint refund_policies_commission_known check (commission in ('returned', 'kept')),
    constraint refund_policies_processor_fee_known check (processor_fee in ('platform', 'sellers')),
    constraint refund_policies_tax_known check (tax in ('returned', 'kept'))
);
comment on table refund_policies is
    'What a platform has declared about refunds; the newest version holds for what a refund does not say itself. None: version 0, see src/refunds/policy.rs.';
comment on column refund_policies.commission is 'Whether the commission goes back with the goods.';
comment on column refund_policies.processor_fee is 'Who bears the processor''s fee of what is refunded: the processor keeps it.';
comment on column refund_policies.tax is 'Whether the tax goes back with the goods, or stays owed: the refund is of the net price only.';

alter table refunds
    add column policy_version integer not null default 0,
    add column processor_fee text not null default 'platform',
    add column tax text not null default 'returned',
    add constraint refunds_processor_fee_known check (processor_fee in ('platform', 'sellers')) not valid,
    add constraint refunds_tax_known check (tax in ('returned', 'kept')) not valid;
comment on column refunds.policy_version is 'The declared policy that held when it was asked; fee, processor_fee and tax say what was done.';

alter table refund_policies enable row level security;
alter table refund_policies force row level security;
create policy refund_policies_of_book on refund_policies
    using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert on refund_policies to partita_app;
create trigger refund_policies_no_change before update or delete on refund_policies
    for each row execute function refuse_change();
create trigger refund_policies_no_truncate before truncate on refund_policies
    for each statement execute function refuse_change();

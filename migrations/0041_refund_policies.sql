-- Who bears what of refunds, declared; the processor's fee passed to sellers, at the charge by a rule of the fee policy, or with
-- what is refunded; and the tax on commissions.
--
-- A release of before refunds by what each request says, passes no fee and knows no tax on commissions: declare a policy, and give
-- rules of fee policies a bearer or a tax, once every process knows them.
--
-- Locks: ACCESS EXCLUSIVE on refunds, refund_lines, dispute_lines, payment_captures and payment_lines, until the commit. Nothing here reads a row of them (columns
-- with constant defaults, constraints not valid yet), so that is milliseconds. 0042 looks at the rows.

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

alter table refund_lines
    add column processor_fee bigint not null default 0,
    add constraint refund_lines_processor_fee_positive check (processor_fee >= 0) not valid;
comment on column refund_lines.processor_fee is 'Of the processor''s fee of the charge, what the refund passed to the line''s seller.';

alter table payment_lines
    add column bears_processor_fee boolean not null default false,
    add column passed_fee bigint not null default 0,
    add constraint payment_lines_bears_by_a_policy check (not bears_processor_fee or fee_policy_id is not null) not valid,
    add constraint payment_lines_passed_fee_of_a_seller
        check (passed_fee = 0 or (passed_fee > 0 and seller_id is not null)) not valid;
comment on column payment_lines.bears_processor_fee is 'Whether its seller bears the line''s part of the processor''s fee from the charge on.';
comment on column payment_lines.passed_fee is 'Of the processor''s fee, what was passed to the line''s seller: at the charge, or with refunds.';

alter table payment_lines
    add column commission_vat bigint not null default 0,
    add column returned_vat bigint not null default 0,
    add column disputed_vat bigint not null default 0,
    add column failed_vat bigint not null default 0,
    add column uncaptured_vat bigint not null default 0,
    add constraint payment_lines_vat_within_commission check (commission_vat between 0 and commission) not valid,
    add constraint payment_lines_gone_vat_within check (
        returned_vat >= 0 and disputed_vat >= 0 and failed_vat >= 0 and uncaptured_vat >= 0
        and returned_vat + disputed_vat + failed_vat + uncaptured_vat <= commission_vat) not valid;
comment on column payment_lines.commission_vat is 'Of commission, the tax on it, which the platform owes.';
alter table refund_lines
    add column commission_vat bigint not null default 0,
    add constraint refund_lines_vat_within_commission check (commission_vat between 0 and commission) not valid;
alter table dispute_lines
    add column commission_vat bigint not null default 0,
    add constraint dispute_lines_vat_within_commission check (commission_vat between 0 and commission) not valid;
alter table payment_captures
    add column commission_vat bigint not null default 0,
    add constraint payment_captures_vat_within_commission check (commission_vat between 0 and commission) not valid;

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

grant update (passed_fee, returned_vat, disputed_vat, failed_vat, uncaptured_vat) on payment_lines to partita_app;

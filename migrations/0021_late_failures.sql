-- Payments that fail after they succeeded, and refunds that come back after they were sent.
--
-- A release of before leaves both for a person, as before: their movements are breaks of the reconciliation until a process
-- that knows them books them. It reads a refund that was returned or settled as one in a state that it does not know.
--
-- Locks: ACCESS EXCLUSIVE on payment_lines and refunds, until the commit. Nothing here reads a row of them (columns with
-- constant defaults, constraints not valid yet), so that is milliseconds. 0022 looks at the rows.

set local lock_timeout = '2s';

alter table payment_lines
    add column failed_amount bigint not null default 0,
    add column failed_tax bigint not null default 0,
    add column failed_commission bigint not null default 0;
alter table payment_lines
    drop constraint payment_lines_gone_within_captured,
    drop constraint payment_lines_gone_tax_within_captured,
    drop constraint payment_lines_gone_fee_within_captured,
    add constraint payment_lines_failed_positive
        check (failed_amount >= 0 and failed_tax >= 0 and failed_commission >= 0) not valid,
    add constraint payment_lines_gone_within_amount
        check (refunded_amount + disputed_amount + uncaptured_amount + failed_amount <= amount) not valid,
    add constraint payment_lines_gone_tax_within_tax
        check (refunded_tax + disputed_tax + uncaptured_tax + failed_tax <= tax_amount) not valid,
    add constraint payment_lines_gone_fee_within_fee
        check (returned_commission + disputed_commission + uncaptured_commission + failed_commission <= commission) not valid;
comment on column payment_lines.failed_amount is
    'Of amount, what the buyer''s bank took back when the payment failed after it had succeeded.';

alter table refunds
    add column resolution text,
    add column resolved_by text,
    add column resolved_at timestamptz;
alter table refunds
    drop constraint refunds_status_known,
    add constraint refunds_status_known
        check (status in ('processing', 'pending', 'succeeded', 'returned', 'settled', 'failed')) not valid,
    add constraint refunds_resolution_is_whole check (
        (resolved_by is null) = (resolved_at is null)
        and (resolution is null or resolved_by is not null)
        and (status <> 'settled' or resolved_by is not null)) not valid,
    add constraint refunds_resolution_length check (length(resolution) <= 1000) not valid;
comment on column refunds.status is
    'processing: asked, no definite answer; pending: the provider has it and waits, for funds for instance; succeeded; returned: it '
    'failed after its money had left, the money is back and still owed to the buyer, somebody has to decide; settled: it was paid '
    'from the bank instead; failed: everyone has back what was taken for it.';
comment on column refunds.resolution is 'What was decided about a returned refund, in the words of who decided.';

grant update (failed_amount, failed_tax, failed_commission) on payment_lines to partita_app;
grant update (resolution, resolved_by, resolved_at) on refunds to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (5, 'payment_failed', 'The buyer''s bank took a payment back that had succeeded.'),
    (23, 'refund_returned', 'A refund came back after its money had left.'),
    (24, 'refund_reinstated', 'A returned refund is given up: everyone has back what was taken for it.'),
    (25, 'refund_settled', 'A returned refund was paid from the bank instead.');

-- Amounts that are authorised first and captured later, in part or whole.
--
-- A release of before makes automatic payments only. It reads a payment that is authorised as one in a state that it does not
-- know, so that whoever captures by hand lets the old processes end first.
--
-- Locks: ACCESS EXCLUSIVE on payments and payment_lines, until the commit. Nothing here reads a row of them (columns with
-- constant defaults, constraints not valid yet), so that is milliseconds. 0022 looks at the rows.

set local lock_timeout = '2s';

alter table payments
    add column capture_method text not null default 'automatic',
    add column capture_before timestamptz,
    add column uncaptured_amount bigint not null default 0;
alter table payments
    drop constraint payments_status_known,
    add constraint payments_status_known
        check (status in ('processing', 'requires_action', 'authorized', 'succeeded', 'failed', 'canceled')) not valid,
    add constraint payments_capture_method_known check (capture_method in ('automatic', 'manual')) not valid,
    add constraint payments_something_is_captured check (uncaptured_amount >= 0 and uncaptured_amount < amount) not valid,
    add constraint payments_refunded_within_captured check (refunded_amount <= amount - uncaptured_amount) not valid;
comment on column payments.status is
    'processing: asked, no definite answer; authorized: held on the buyer''s card, nothing moved; failed: declined or refused, final; '
    'canceled: given up; succeeded: the buyer was charged.';
comment on column payments.capture_before is 'Until when what is authorised can be captured; the provider lets it go then.';
comment on column payments.uncaptured_amount is 'Of amount, what was authorised and let go when the rest was captured.';

alter table payment_lines
    add column uncaptured_amount bigint not null default 0,
    add column uncaptured_tax bigint not null default 0,
    add column uncaptured_commission bigint not null default 0;
alter table payment_lines
    add constraint payment_lines_uncaptured_positive
        check (uncaptured_amount >= 0 and uncaptured_tax >= 0 and uncaptured_commission >= 0) not valid,
    add constraint payment_lines_gone_within_captured
        check (refunded_amount + disputed_amount + uncaptured_amount <= amount) not valid,
    add constraint payment_lines_gone_tax_within_captured
        check (refunded_tax + disputed_tax + uncaptured_tax <= tax_amount) not valid,
    add constraint payment_lines_gone_fee_within_captured
        check (returned_commission + disputed_commission + uncaptured_commission <= commission) not valid;
comment on column payment_lines.uncaptured_amount is
    'Of amount, what was authorised and not captured: nobody ever had it. The line counts for what is left.';

create table payment_captures (
    book_id integer not null,
    operation_id uuid not null,
    payment_id uuid not null,
    line integer not null,
    amount bigint not null,
    tax_amount bigint not null,
    commission bigint not null,
    primary key (book_id, operation_id, line),
    constraint payment_captures_operation foreign key (book_id, operation_id) references operations (book_id, id),
    constraint payment_captures_line foreign key (book_id, payment_id, line) references payment_lines (book_id, payment_id, line),
    constraint payment_captures_amounts_positive check (amount >= 0 and tax_amount >= 0 and commission >= 0)
);
comment on table payment_captures is 'What each line was to be captured with when it was asked: net, tax and commission.';
alter table payment_captures enable row level security;
alter table payment_captures force row level security;
create policy payment_captures_of_book on payment_captures
    using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert on payment_captures to partita_app;
create trigger payment_captures_no_change before update or delete on payment_captures
    for each row execute function refuse_change();
create trigger payment_captures_no_truncate before truncate on payment_captures
    for each statement execute function refuse_change();

grant update (capture_before, uncaptured_amount) on payments to partita_app;
grant update (uncaptured_amount, uncaptured_tax, uncaptured_commission) on payment_lines to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (4, 'capture_rest_released', 'The provider gave back what was authorised and not captured.');

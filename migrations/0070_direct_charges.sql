-- Direct charges: made on the seller's own account at the provider, of which the platform keeps an application fee.
--
-- A release of before makes none. It cannot read their commands, which name the account that they are for, and takes their
-- events for nothing of its own: let the old processes end before a platform uses direct charges.
--
-- Locks: ACCESS EXCLUSIVE on payments, charge_policies and stuck_money, SHARE ROW EXCLUSIVE on payments and sellers (for the
-- references), until the commit. Nothing here reads a row of payments (constraints not valid yet), and of the others there are few.

set local lock_timeout = '2s';

alter table payments
    drop constraint payments_charge_type_known,
    add constraint payments_charge_type_known check (charge_type in ('separate', 'destination', 'direct')) not valid;
comment on column payments.charge_type is
    'separate: sellers are sent their shares by transfers of ours; destination: the provider sends the one seller its share with the charge; direct: the charge is made on the seller''s own account.';
alter table charge_policies
    drop constraint charge_policies_type_known,
    add constraint charge_policies_type_known check (charge_type in ('separate', 'destination', 'direct'));

create table direct_charges (
    book_id integer not null,
    payment_id uuid not null,
    seller_id uuid not null,
    account text not null,
    application_fee bigint not null,
    application_fee_vat bigint not null,
    provider_fee text,
    fee_received boolean not null default false,
    returned_fee bigint not null default 0,
    returned_vat bigint not null default 0,
    primary key (book_id, payment_id),
    constraint direct_charges_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint direct_charges_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint direct_charges_account_named check (account <> ''),
    constraint direct_charges_vat_within_fee check (application_fee >= 0 and application_fee_vat between 0 and application_fee),
    constraint direct_charges_returned_within_fee check (returned_fee between 0 and application_fee),
    constraint direct_charges_returned_vat_within_vat
        check (returned_vat between 0 and application_fee_vat and returned_vat <= returned_fee),
    constraint direct_charges_received_is_known check (not fee_received or provider_fee is not null),
    constraint direct_charges_returned_was_received check (fee_received or returned_fee = 0)
);
create unique index direct_charges_by_fee on direct_charges (book_id, provider_fee) where provider_fee is not null;
create index direct_charges_by_account on direct_charges (book_id, account);
create index direct_charges_unreceived on direct_charges (book_id, payment_id) where not fee_received and application_fee > 0;
comment on table direct_charges is
    'Of payments that are charged on the seller''s own account: whose it is, and what the platform keeps; minor units.';
comment on column direct_charges.account is 'The seller''s account at the provider, on which the charge is made.';
comment on column direct_charges.application_fee is 'What the platform keeps of the charge: the commission on all lines with the tax on it.';
comment on column direct_charges.application_fee_vat is 'Of application_fee, the tax on it, which the platform owes.';
comment on column direct_charges.provider_fee is 'The application fee''s id at the provider, once the buyer was charged.';
comment on column direct_charges.fee_received is 'Whether its movement on the platform''s balance is booked.';
comment on column direct_charges.returned_fee is 'What of application_fee went back to the seller''s account with refunds.';

create table application_fee_refunds (
    book_id integer not null,
    key bigint not null,
    payment_id uuid not null,
    provider_refund text not null,
    amount bigint not null,
    vat bigint not null,
    created_at timestamptz not null,
    primary key (book_id, key),
    constraint application_fee_refunds_once unique (book_id, provider_refund),
    constraint application_fee_refunds_charge foreign key (book_id, payment_id) references direct_charges (book_id, payment_id),
    constraint application_fee_refunds_amounts check (amount > 0 and vat between 0 and amount)
);
create index application_fee_refunds_by_payment on application_fee_refunds (book_id, payment_id);
comment on table application_fee_refunds is
    'What went back of application fees: one row for each movement of the provider, whose number it has; minor units.';
comment on column application_fee_refunds.vat is 'Of amount, the tax on the commission.';

do $$
declare
    name text;
begin
    foreach name in array array['direct_charges', 'application_fee_refunds'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end $$;
grant update (provider_fee, fee_received, returned_fee, returned_vat) on direct_charges to partita_app;
create trigger application_fee_refunds_no_change before update or delete on application_fee_refunds
    for each row execute function refuse_change();
create trigger application_fee_refunds_no_truncate before truncate on application_fee_refunds
    for each statement execute function refuse_change();

alter table stuck_money
    drop constraint stuck_money_object_type_known,
    add constraint stuck_money_object_type_known
        check (object_type in ('seller', 'platform', 'operation', 'refund', 'top_up', 'payout', 'payment', 'payment_line', 'adjustment'));

insert into ledger_transaction_kinds (code, name, description) values
    (100, 'direct_charged', 'Mirror: a buyer was charged on the seller''s own account.'),
    (101, 'direct_failed', 'Mirror: the buyer''s bank took such a charge back from there.'),
    (102, 'direct_refunded', 'Mirror: it was refunded from there.'),
    (103, 'direct_refund_returned', 'Mirror: such a refund came back.'),
    (104, 'direct_disputed', 'Mirror: a dispute of it took money from there.'),
    (105, 'direct_dispute_reinstated', 'Mirror: a dispute of it gave money back.'),
    (106, 'application_fee_received', 'What the platform keeps of a charge on a seller''s account came onto its balance.'),
    (107, 'application_fee_returned', 'It went back, in part or whole.');

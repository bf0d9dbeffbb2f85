-- How a charge reaches its seller: by transfers of ours afterwards, or sent by the provider with the charge itself.
--
-- A release of before makes separate charges only. It does not know what a payment that another process made with a destination
-- has sent, and payments_destination_has_sent keeps it from booking the charge as if nothing had been: it waits for a process that
-- knows. What such a process has booked, it would take for a separate charge, and make the share usable that the seller has
-- already. Let the old processes end before a platform uses destinations.
--
-- Locks: ACCESS EXCLUSIVE on payments and SHARE ROW EXCLUSIVE on sellers (for the reference), until the commit. Nothing here reads
-- a row of them (columns with constant defaults, constraints not valid yet), so that is milliseconds.

set local lock_timeout = '2s';

alter table payments
    add column charge_type text not null default 'separate',
    add column on_behalf_of uuid,
    add column sent_with_charge bigint not null default 0;
alter table payments
    add constraint payments_charge_type_known check (charge_type in ('separate', 'destination')) not valid,
    add constraint payments_sent_within_captured
        check (sent_with_charge >= 0 and sent_with_charge <= amount - uncaptured_amount) not valid,
    add constraint payments_sent_by_destination check (charge_type = 'destination' or sent_with_charge = 0) not valid,
    add constraint payments_destination_has_sent
        check (charge_type <> 'destination' or funds = 'none' or sent_with_charge > 0) not valid,
    add constraint payments_on_behalf_of foreign key (book_id, on_behalf_of) references sellers (book_id, id) not valid;
comment on column payments.charge_type is
    'separate: sellers are sent their shares by transfers of ours; destination: the provider sends the one seller its share with the charge.';
comment on column payments.on_behalf_of is 'The seller that the buyer buys from, to card networks and on statements.';
comment on column payments.sent_with_charge is 'What the provider sent to the seller with the charge; minor units.';
grant update (sent_with_charge) on payments to partita_app;

create table charge_policies (
    book_id integer not null,
    version integer not null,
    charge_type text not null,
    on_behalf_of boolean not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, version),
    constraint charge_policies_type_known check (charge_type in ('separate', 'destination')),
    constraint charge_policies_behalf_has_one_seller check (charge_type = 'destination' or not on_behalf_of)
);
comment on table charge_policies is
    'How payments that do not say it themselves are charged; the newest version holds for payments made from then on. None: separate.';
comment on column charge_policies.on_behalf_of is 'Whether the one seller is who the buyer buys from, to card networks.';

alter table charge_policies enable row level security;
alter table charge_policies force row level security;
create policy charge_policies_of_book on charge_policies
    using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert on charge_policies to partita_app;
create trigger charge_policies_no_change before update or delete on charge_policies
    for each row execute function refuse_change();
create trigger charge_policies_no_truncate before truncate on charge_policies
    for each statement execute function refuse_change();

insert into ledger_transaction_kinds (code, name, description) values
    (16, 'transfer_with_charge', 'The provider sent a seller its share with the charge itself.');

insert into state_changes_allowed (object_type, from_state, to_state) values ('charge_policy', '', 'declared');

-- Payments that the provider settles in another currency than they were made in: what each movement was converted from, and
-- what was brought home when a position was closed.
--
-- A release of before goes on: it refuses to book a movement in another currency than its object, as it always did, and what it
-- refuses is booked by a process of this release when it is looked at again.
--
-- Locks: SHARE ROW EXCLUSIVE on provider_movements (for the reference), ACCESS EXCLUSIVE on stuck_money, whose few rows are read,
-- until the commit.

set local lock_timeout = '2s';

create table exchanges (
    book_id integer not null,
    movement bigint not null,
    subject bigint not null,
    currency char(3) not null,
    amount bigint not null,
    settled_currency char(3) not null,
    settled_amount bigint not null,
    exchange_rate text,
    primary key (book_id, movement),
    constraint exchanges_movement foreign key (book_id, movement) references provider_movements (book_id, key),
    constraint exchanges_of_two_currencies check (currency <> settled_currency),
    constraint exchanges_amount_not_zero check (amount <> 0),
    constraint exchanges_amounts_go_one_way check (settled_amount = 0 or (amount > 0) = (settled_amount > 0)),
    constraint exchanges_rate_is_decimal check (exchange_rate ~ '^[0-9]+([.][0-9]+)?$')
);
create index exchanges_by_subject on exchanges (book_id, subject, movement);
comment on table exchanges is
    'Movements of the provider in another currency than what they are of; the first of a subject gives the rate at which the rest of it is valued.';
comment on column exchanges.movement is 'The key of the movement in provider_movements.';
comment on column exchanges.subject is 'The ledger subject: the key of the payment or the adjustment.';
comment on column exchanges.amount is 'What it is of, in its own currency, signed as the movement; minor units.';
comment on column exchanges.settled_amount is 'What the provider moved before its fee; minor units of settled_currency.';
comment on column exchanges.exchange_rate is 'As the provider tells it, as a decimal; nothing is computed from it.';

create table position_closings (
    book_id integer not null,
    subject bigint not null,
    number integer not null,
    account text not null,
    settled_currency char(3) not null,
    key bigint not null,
    currency char(3) not null,
    amount bigint not null,
    settled_amount bigint not null,
    primary key (book_id, subject, number, account, settled_currency),
    constraint position_closings_number_counts check (number > 0),
    constraint position_closings_of_two_currencies check (currency <> settled_currency),
    constraint position_closings_move_something check (amount <> 0 or settled_amount <> 0),
    constraint position_closings_result_is_settled check (account <> 'fx.result' or amount = 0)
);
comment on table position_closings is
    'What was brought from a payment''s own currency into that of the provider''s balance, and what conversion came to; one closing has one number and one key, the source of its booking.';
comment on column position_closings.account is 'The path of the platform''s account.';
comment on column position_closings.amount is 'What left the account in the payment''s currency, credits positive; minor units.';
comment on column position_closings.settled_amount is 'What it was credited with in the balance''s currency; minor units.';

alter table stuck_money
    drop constraint stuck_money_cause_known,
    add constraint stuck_money_cause_known check (cause in (
        'not_onboarded', 'account_restricted', 'below_one_unit', 'transfers_refused', 'payouts_disabled', 'payouts_parked',
        'payouts_come_back', 'pending_too_long', 'clearing_too_long', 'held_too_long', 'position_open')),
    drop constraint stuck_money_object_type_known,
    add constraint stuck_money_object_type_known check (object_type in (
        'seller', 'platform', 'operation', 'refund', 'top_up', 'payout', 'payment_line', 'payment', 'adjustment'));

do $$
declare
    name text;
begin
    foreach name in array array['exchanges', 'position_closings'] loop
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

insert into ledger_transaction_kinds (code, name, description) values
    (85, 'position_closed', 'What the platform has of a payment in its own currency was brought into that of the provider''s balance.');

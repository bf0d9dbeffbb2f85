-- Discounts as lines of a cart: what the buyer does not pay, and who bears it.
--
-- An older release goes on: it shows the lines of such a payment with what the buyer paid of them. It takes no discounts.
--
-- Locks, until the commit: ACCESS EXCLUSIVE on payment_lines, of which no row is read.

set local lock_timeout = '2s';

alter table payment_lines
    drop constraint payment_lines_amounts_positive,
    add constraint payment_lines_amounts_positive check (amount >= 0 and tax_amount >= 0 and (amount > 0 or tax_amount = 0)) not valid;
comment on column payment_lines.amount is 'What the buyer pays of it, net of tax_amount: discounts are taken off; minor units.';
comment on column payment_lines.commission is
    'What the platform keeps of it, with commission_vat: discounts that the platform bears are taken off; minor units.';

create table payment_discounts (
    book_id integer not null,
    payment_id uuid not null,
    line integer not null,
    amount bigint not null,
    funded_by text not null,
    seller_id uuid,
    commission_of text not null,
    primary key (book_id, payment_id, line),
    constraint payment_discounts_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint payment_discounts_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint payment_discounts_amount_positive check (amount > 0),
    constraint payment_discounts_funded_by_known check (funded_by in ('seller', 'platform')),
    constraint payment_discounts_seller_bears_its_own check ((funded_by = 'seller') = (seller_id is not null)),
    constraint payment_discounts_commission_of_known check (commission_of in ('discounted_price', 'full_price'))
);
comment on table payment_discounts is 'What buyers did not pay of their carts, and who bears it. Part of the split snapshot: never changed.';
comment on column payment_discounts.line is 'Its place in the cart, after all lines that are paid for.';
comment on column payment_discounts.commission_of is 'Of which price the commission is, where a seller bears it.';

create table payment_discount_parts (
    book_id integer not null,
    payment_id uuid not null,
    discount integer not null,
    line integer not null,
    amount bigint not null,
    primary key (book_id, payment_id, discount, line),
    constraint payment_discount_parts_discount foreign key (book_id, payment_id, discount)
        references payment_discounts (book_id, payment_id, line),
    constraint payment_discount_parts_line foreign key (book_id, payment_id, line)
        references payment_lines (book_id, payment_id, line),
    constraint payment_discount_parts_amount_positive check (amount > 0)
);
comment on table payment_discount_parts is 'What each line has of a discount; minor units. Never changed.';

do $$
declare
    name text;
begin
    foreach name in array array['payment_discounts', 'payment_discount_parts'] loop
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

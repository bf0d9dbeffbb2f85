-- Buyers whose payment methods are saved, as the provider's tokens, to be charged later and while they are away.
--
-- A release of before knows nothing of them; events of set-ups mean nothing to it. New tables, and no lock on any other.

set local lock_timeout = '2s';

create table customers (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text not null,
    status text not null,
    provider text not null,
    provider_customer text,
    failure jsonb,
    metadata jsonb not null default '{}',
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint customers_key_unique unique (book_id, key),
    constraint customers_reference_unique unique (book_id, reference),
    constraint customers_provider_unique unique (book_id, provider_customer, provider),
    constraint customers_status_known check (status in ('processing', 'active', 'failed')),
    constraint customers_active_at_provider check (status <> 'active' or provider_customer is not null)
);
comment on table customers is 'A buyer who comes again, by the platform''s own reference; nothing else is kept of a buyer.';
comment on column customers.status is
    'processing: asked of the provider, no definite answer; active: methods can be saved; failed: refused, final.';

create table payment_methods (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    customer_id uuid not null,
    token text not null,
    status text not null,
    type text,
    brand text,
    last4 text,
    expires_month integer,
    expires_year integer,
    provider text not null,
    provider_setup text,
    provider_method text,
    failure jsonb,
    metadata jsonb not null default '{}',
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint payment_methods_key_unique unique (book_id, key),
    constraint payment_methods_setup_unique unique (book_id, provider_setup, provider),
    constraint payment_methods_provider_unique unique (book_id, provider_method, provider),
    constraint payment_methods_customer foreign key (book_id, customer_id) references customers (book_id, id),
    constraint payment_methods_status_known
        check (status in ('processing', 'requires_action', 'saved', 'failed', 'detached')),
    constraint payment_methods_saved_at_provider
        check (status not in ('saved', 'detached') or provider_method is not null),
    constraint payment_methods_last4_is_no_number check (last4 is null or length(last4) <= 4)
);
create index payment_methods_by_customer on payment_methods (book_id, customer_id, id);
comment on table payment_methods is 'A buyer''s payment method, saved at the provider and known by its token.';
comment on column payment_methods.status is
    'processing: asked, no definite answer; requires_action: the buyer has to do something; saved: it can be charged; '
    'failed: refused, final; detached: taken from its customer, final.';
comment on column payment_methods.token is 'What it was saved from: the provider''s token that the platform gave.';
comment on column payment_methods.last4 is 'The last four digits, to be shown to the buyer; never more of them.';

do $$
declare
    name text;
begin
    foreach name in array array['customers', 'payment_methods'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end $$;
grant update (status, provider_customer, failure, sequence, updated_at) on customers to partita_app;
grant update (status, type, brand, last4, expires_month, expires_year, provider_setup, provider_method, failure, sequence,
              updated_at) on payment_methods to partita_app;
create trigger customers_no_delete before delete on customers for each row execute function refuse_change();
create trigger customers_no_truncate before truncate on customers for each statement execute function refuse_change();
create trigger payment_methods_no_delete before delete on payment_methods for each row execute function refuse_change();
create trigger payment_methods_no_truncate before truncate on payment_methods
    for each statement execute function refuse_change();

insert into state_changes_allowed (object_type, from_state, to_state) values
    ('customer', '', 'processing'),
    ('customer', 'processing', 'active'),
    ('customer', 'processing', 'failed'),
    ('payment_method', '', 'processing'),
    ('payment_method', 'processing', 'requires_action'),
    ('payment_method', 'processing', 'saved'),
    ('payment_method', 'requires_action', 'saved'),
    ('payment_method', 'failed', 'saved'),
    ('payment_method', 'processing', 'failed'),
    ('payment_method', 'requires_action', 'failed'),
    ('payment_method', 'saved', 'detached');

-- The platform's own payouts: from its balance at the provider to its bank, never of what sellers, buyers and the state are owed.
--
-- Nothing that is there is locked.

set local lock_timeout = '2s';

create table funding (
    book_id integer not null,
    provider text not null,
    currency char(3) not null,
    primary key (book_id, provider, currency)
);
comment on table funding is
    'One row for each balance of the platform''s at a provider, locked while it is decided what of it is free: no two decisions count the same money.';

create table platform_payouts (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    provider text not null,
    provider_payout text,
    arrival_on timestamptz,
    failure jsonb,
    metadata jsonb not null default '{}',
    free_before bigint not null,
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint platform_payouts_key_unique unique (book_id, key),
    constraint platform_payouts_reference_unique unique (book_id, reference),
    constraint platform_payouts_provider_unique unique (book_id, provider_payout, provider),
    constraint platform_payouts_status_known
        check (status in ('processing', 'pending', 'in_transit', 'paid', 'failed', 'canceled')),
    constraint platform_payouts_amount_positive check (amount > 0),
    constraint platform_payouts_covered check (amount <= free_before),
    constraint platform_payouts_known_at_provider
        check (provider_payout is not null and arrival_on is not null or status in ('processing', 'failed'))
);
create index platform_payouts_processing on platform_payouts (book_id, currency) where status = 'processing';
comment on table platform_payouts is 'Money of the platform''s own, sent from its balance at the provider to its bank.';
comment on column platform_payouts.status is
    'processing: asked, no definite answer; pending: it left the balance; in_transit; paid; failed: it came back, or was refused; canceled.';
comment on column platform_payouts.free_before is 'What was free when it was asked: src/payouts/platform/coverage.rs. Minor units.';

do $$
declare
    name text;
begin
    foreach name in array array['funding', 'platform_payouts'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end $$;
-- To lock a row asks for the right to change one; there is nothing in it to change.
grant update (currency) on funding to partita_app;
create trigger funding_no_change before update or delete on funding for each row execute function refuse_change();
create trigger funding_no_truncate before truncate on funding for each statement execute function refuse_change();
create trigger platform_payouts_no_delete before delete on platform_payouts for each row execute function refuse_change();
create trigger platform_payouts_no_truncate before truncate on platform_payouts
    for each statement execute function refuse_change();
grant update (status, provider_payout, arrival_on, failure, sequence, updated_at) on platform_payouts to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (33, 'platform_payout_sent', 'A payout of the platform''s own left its balance at the provider.'),
    (34, 'platform_payout_paid', 'It reached the platform''s bank.'),
    (35, 'platform_payout_failed', 'It came back to the balance.');

-- The simulator's own database. Nothing of Partita's reads it; it is the provider's side of every comparison.

create table platform (
    account    text primary key,
    secret_key text not null,
    constraint platform_secret_key_unique unique (secret_key)
);
comment on table platform is 'The account that owns the secret key; every other account is connected to it.';

create table simulator_state (
    singleton     boolean primary key default true,
    clock_seconds bigint,
    settings      jsonb not null default '{}',
    constraint simulator_state_one_row check (singleton)
);
comment on table simulator_state is 'Switches, and the driven clock (seconds; null while the machine''s clock is followed).';

create table objects (
    seq     bigint generated always as identity,
    id      text primary key,
    account text not null,
    object  text not null,
    parent  text,
    created bigint not null,
    body    jsonb not null
);
create unique index objects_by_account on objects (account, object, seq);
create index objects_by_parent on objects (parent, object) where parent is not null;
create index objects_by_intent on objects ((body ->> 'payment_intent')) where body ->> 'payment_intent' is not null;
comment on table objects is 'Stripe''s objects as they are shown, not expanded; account is who sees them.';

create table balances (
    account          text not null,
    currency         char(3) not null,
    pending          bigint not null default 0,
    available        bigint not null default 0,
    connect_reserved bigint not null default 0,
    primary key (account, currency),
    constraint balances_reserved_not_negative check (connect_reserved >= 0)
);
comment on table balances is 'What GET /v1/balance shows. Locked in order of (account, currency) before anything is checked against it.';

create table balance_transactions (
    seq                bigint generated always as identity,
    id                 text primary key,
    account            text not null,
    currency           char(3) not null,
    amount             bigint not null,
    fee                bigint not null,
    net                bigint not null,
    type               text not null,
    reporting_category text not null,
    source             text not null,
    description        text,
    fee_description    text,
    available_on       bigint not null,
    created            bigint not null,
    status             text not null,
    payout             text,
    constraint balance_transactions_net check (net = amount - fee),
    constraint balance_transactions_status check (status in ('pending', 'available'))
);
create unique index balance_transactions_by_account on balance_transactions (account, seq);
create index balance_transactions_by_source on balance_transactions (source);
create index balance_transactions_pending on balance_transactions (account, currency, available_on) where status = 'pending';
create index balance_transactions_unpaid on balance_transactions (account, currency) where payout is null;
comment on table balance_transactions is 'Every movement on a balance; per account, currency and status their net sums to the balance.';

create table legs (
    seq                 bigint generated always as identity primary key,
    balance_transaction text not null references balance_transactions (id),
    account             text not null,
    bucket              text not null,
    currency            char(3) not null,
    amount              bigint not null
);
create index legs_by_balance_transaction on legs (balance_transaction);
comment on table legs is 'Double entry: each movement''s legs sum to zero; account ''outside'' is everything that is no balance (cards, banks, fees).';

create function legs_balance() returns trigger language plpgsql as $$
begin
    if exists (
        select from legs
        where balance_transaction = new.balance_transaction
        group by currency
        having sum(amount) <> 0
    ) then
        raise exception 'the legs of % do not sum to zero', new.balance_transaction
            using errcode = 'check_violation', constraint = 'legs_sum_to_zero';
    end if;
    return null;
end
$$;
create constraint trigger legs_sum_to_zero after insert on legs
    deferrable initially deferred for each row execute function legs_balance();

create function legs_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'legs are never changed' using errcode = 'restrict_violation';
end
$$;
create trigger legs_append_only before update or delete on legs for each row execute function legs_append_only();

create view book_breaks as
with by_transaction as (
    select account, currency,
           sum(net) filter (where status = 'pending') as pending,
           sum(net) filter (where status = 'available') as available,
           -sum(net) filter (where reporting_category = 'connect_reserved_funds') as connect_reserved
    from balance_transactions
    group by account, currency
), by_leg as (
    select account, currency,
           sum(amount) filter (where bucket = 'pending') as pending,
           sum(amount) filter (where bucket = 'available') as available,
           sum(amount) filter (where bucket = 'connect_reserved') as connect_reserved
    from legs
    where account <> 'outside'
    group by account, currency
), states as (
    select account, currency, b.pending as balance, t.pending as transactions, l.pending as legs, 'pending' as state
    from balances b full join by_transaction t using (account, currency) full join by_leg l using (account, currency)
    union all
    select account, currency, b.available, t.available, l.available, 'available'
    from balances b full join by_transaction t using (account, currency) full join by_leg l using (account, currency)
    union all
    select account, currency, b.connect_reserved, t.connect_reserved, l.connect_reserved, 'connect_reserved'
    from balances b full join by_transaction t using (account, currency) full join by_leg l using (account, currency)
)
select account, currency, state,
       coalesce(balance, 0)::bigint as balance,
       coalesce(transactions, 0)::bigint as transactions,
       coalesce(legs, 0)::bigint as legs
from states
where coalesce(balance, 0) <> coalesce(transactions, 0) or coalesce(balance, 0) <> coalesce(legs, 0)
union all
select 'outside', currency, 'transfers', 0, 0, sum(amount)::bigint
from legs
where account = 'outside' and bucket = 'transfers'
group by currency
having sum(amount) <> 0;
comment on view book_breaks is 'Balances that differ from their balance transactions or legs, and transfers with one side only. Must be empty.';

create table connect_reserves (
    account  text not null,
    currency char(3) not null,
    amount   bigint not null,
    primary key (account, currency),
    constraint connect_reserves_not_negative check (amount >= 0)
);
comment on table connect_reserves is 'How much of the platform''s money is held against each connected account below zero.';

create table pending_refunds (
    refund   text primary key,
    seq      bigint generated always as identity,
    account  text not null,
    currency char(3) not null
);
create index pending_refunds_by_account on pending_refunds (account, currency, seq);
comment on table pending_refunds is 'Refunds that wait for available funds, oldest first.';

create table bank_behaviours (
    bank_account text primary key,
    failure_code text not null
);
comment on table bank_behaviours is 'Bank accounts whose payouts fail, and how: Stripe''s test account numbers.';

create table jobs (
    id     bigint generated always as identity primary key,
    due_at bigint not null,
    kind   text not null,
    target text not null
);
create index jobs_by_target on jobs (kind, target, due_at);
create index jobs_by_due on jobs (due_at, id);
comment on table jobs is 'What the clock will bring: settlement, payouts, top-ups.';

create table idempotency_keys (
    account     text not null,
    key         text not null,
    fingerprint bytea not null,
    endpoint    text not null,
    created     bigint not null,
    request_id  text not null,
    status      smallint,
    body        text,
    primary key (account, key)
);
comment on table idempotency_keys is 'Results by key; status is null while the first request is at work.';

create table effects (
    seq             bigint generated always as identity primary key,
    at              bigint not null,
    account         text not null,
    method          text not null,
    path            text not null,
    request_id      text not null,
    idempotency_key text,
    operation       text,
    object          text,
    status          smallint not null
);
comment on table effects is 'Every request that changed something, once; operation is the request''s metadata[op_id].';

create table webhook_endpoints (
    seq            bigint generated always as identity,
    id             text primary key,
    url            text not null,
    secret         text not null,
    connect        boolean not null,
    enabled_events text[] not null
);
comment on table webhook_endpoints is 'connect: receives what happens on connected accounts, otherwise on the platform''s own.';

create table events (
    seq     bigint generated always as identity,
    id      text primary key,
    account text not null,
    type    text not null,
    created bigint not null,
    payload text not null
);
create unique index events_by_account on events (account, seq);
comment on table events is 'payload is what is signed and sent, byte for byte.';

create table deliveries (
    id           bigint generated always as identity primary key,
    event        text not null references events (id) on delete cascade,
    endpoint     text not null references webhook_endpoints (id) on delete cascade,
    due_at       bigint not null,
    attempts     integer not null default 0,
    state        text not null default 'pending',
    last_status  integer,
    last_error   text,
    delivered_at bigint,
    constraint deliveries_state check (state in ('pending', 'delivered', 'abandoned'))
);
create index deliveries_due on deliveries (due_at, id) where state = 'pending';

create table account_links (
    token       text primary key,
    account     text not null,
    refresh_url text not null,
    return_url  text not null,
    created     bigint not null,
    expires_at  bigint not null,
    session     text,
    finished    boolean not null default false,
    constraint account_links_session_unique unique (session)
);
comment on table account_links is 'A link opens once; the visit then goes on under its session.';

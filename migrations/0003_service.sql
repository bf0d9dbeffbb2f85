-- The service's own tables. Everything that belongs to a book carries book_id first in its key and stands behind
-- forced row-level security; what must be read before the book is known stands in routing tables without payload.

set lock_timeout = '5s';

-- Numbers for what the ledger refers to (subjects, sources, actors, transactions): blocks of 1,000 per replica.
create sequence internal_keys as bigint increment by 1000 start with 1000;
grant usage, select on sequence internal_keys to partita_app;
create sequence book_ids as integer start with 1;
grant usage, select on sequence book_ids to partita_app;

-- ---------------------------------------------------------------------------------------------- routing tables

create table platforms (
    id uuid primary key,
    reference text not null,
    name text not null,
    created_at timestamptz not null,
    constraint platforms_reference_unique unique (reference),
    constraint platforms_reference_length check (length(reference) between 1 and 64),
    constraint platforms_name_length check (length(name) between 1 and 200)
);
comment on table platforms is 'A marketplace. Routing table: no row-level security, no payload.';

create table books (
    book_id integer primary key,
    platform_id uuid not null references platforms (id),
    mode text not null,
    created_at timestamptz not null,
    constraint books_mode_known check (mode in ('test', 'live')),
    constraint books_one_per_mode unique (platform_id, mode),
    constraint books_id_fits_account_key check (book_id between 1 and 1048575)
);
comment on table books is 'A book is (platform, mode): test and live never share a row. Routing table.';

create table api_keys (
    id uuid primary key,
    hash bytea not null,
    book_id integer not null references books (book_id),
    number bigint not null,
    name text not null,
    hint text not null,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint api_keys_hash_unique unique (hash),
    constraint api_keys_hash_length check (length(hash) = 32),
    constraint api_keys_number_unique unique (number),
    constraint api_keys_some_scope check (cardinality(scopes) > 0)
);
comment on table api_keys is 'Routing table: HMAC-SHA256 of an API key -> book. The key itself is shown once and not stored.';
comment on column api_keys.number is 'How ledger rows name this key as their actor.';
comment on column api_keys.hint is 'Prefix and last four characters, for people.';

create table provider_connections (
    book_id integer not null references books (book_id),
    provider text not null,
    base_url text not null,
    secret_ref text not null,
    created_at timestamptz not null,
    primary key (book_id, provider),
    constraint provider_connections_provider_known check (provider in ('stripe')),
    constraint provider_connections_secret_is_a_reference check (secret_ref ~ '^(env|file):.+')
);
comment on table provider_connections is 'How a book reaches its provider. The secret is a reference (env:NAME or file:/path), never the secret.';

create table onboarding_tokens (
    hash bytea primary key,
    book_id integer not null references books (book_id),
    link_id uuid not null,
    constraint onboarding_tokens_hash_length check (length(hash) = 32)
);
comment on table onboarding_tokens is 'Routing table: SHA-256 of an onboarding link''s token -> book and link.';

grant select, insert on platforms, books, onboarding_tokens to partita_app;
grant select, insert, update on api_keys, provider_connections to partita_app;

-- ---------------------------------------------------------------------------------------------- sellers

create table book_counters (
    book_id integer primary key references books (book_id),
    last_seller integer not null default 0,
    constraint book_counters_seller_fits_account_key check (last_seller between 0 and 67108863)
);
comment on table book_counters is 'Numbers that must fit into ledger account keys: 26 bits for a seller.';

create table sellers (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    number integer not null,
    reference text not null,
    email text not null,
    country char(2) not null,
    default_currency char(3) not null,
    business_type text,
    locale text not null,
    payout_interval text not null,
    status text not null,
    account text,
    charges_enabled boolean not null default false,
    payouts_enabled boolean not null default false,
    details_submitted boolean not null default false,
    transfers_active boolean not null default false,
    capabilities jsonb not null default '{}',
    currently_due text[] not null default '{}',
    past_due text[] not null default '{}',
    disabled_reason text,
    deadline timestamptz,
    metadata jsonb not null default '{}',
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint sellers_reference_unique unique (book_id, reference),
    constraint sellers_number_unique unique (book_id, number),
    constraint sellers_key_unique unique (book_id, key),
    constraint sellers_account_unique unique (book_id, account),
    constraint sellers_status_known check (status in ('onboarding', 'active', 'restricted', 'failed')),
    constraint sellers_interval_known check (payout_interval in ('daily', 'manual'))
);
comment on table sellers is 'A seller and the state of its account at the provider.';
comment on column sellers.number is 'The owner part of the seller''s ledger account keys; 0 is the platform itself.';
comment on column sellers.status is 'onboarding: the provider still wants something and transfers do not work yet; active: transfers work; restricted: they worked and were taken away; failed: the provider refused to open the account.';

create table onboarding_links (
    book_id integer not null,
    id uuid not null,
    seller_id uuid not null,
    return_url text not null,
    refresh_url text not null,
    locale text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    primary key (book_id, id),
    constraint onboarding_links_seller foreign key (book_id, seller_id) references sellers (book_id, id)
);
comment on table onboarding_links is 'A short-lived link, bound to one seller. GET shows a page; the POST of its button sets used_at, once.';

-- ---------------------------------------------------------------------------------------------- fees

create table fee_policies (
    book_id integer not null,
    id uuid not null,
    reference text not null,
    name text not null,
    is_default boolean not null,
    version integer not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint fee_policies_reference_unique unique (book_id, reference)
);
create unique index fee_policies_one_default on fee_policies (book_id) where is_default;
comment on table fee_policies is 'What the platform keeps of a sale. version names the newest row of fee_policy_versions.';

create table fee_policy_versions (
    book_id integer not null,
    policy_id uuid not null,
    version integer not null,
    percent_bps integer not null,
    amounts jsonb not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, policy_id, version),
    constraint fee_policy_versions_policy foreign key (book_id, policy_id) references fee_policies (book_id, id),
    constraint fee_policy_versions_percent_range check (percent_bps between 0 and 10000)
);
comment on table fee_policy_versions is 'Never changed: a payment names the version that it was priced with.';
comment on column fee_policy_versions.amounts is 'Per currency: fixed, minimum, maximum, in minor units.';

-- ---------------------------------------------------------------------------------------------- payments

create table payments (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text not null,
    status text not null,
    amount bigint not null,
    currency char(3) not null,
    payment_method text not null,
    description text,
    funds text not null default 'none',
    processor_fee bigint,
    refunded_amount bigint not null default 0,
    available_on timestamptz,
    provider text not null,
    provider_payment text,
    provider_charge text,
    failure jsonb,
    metadata jsonb not null default '{}',
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint payments_reference_unique unique (book_id, reference),
    constraint payments_key_unique unique (book_id, key),
    constraint payments_provider_payment_unique unique (book_id, provider_payment, provider),
    constraint payments_status_known check (status in ('processing', 'requires_action', 'succeeded', 'failed', 'canceled')),
    constraint payments_funds_known check (funds in ('none', 'pending', 'available')),
    constraint payments_amount_positive check (amount between 1 and 9007199254740991),
    constraint payments_refunded_within_amount check (refunded_amount between 0 and amount)
);
comment on table payments is 'One cart, one buyer, any number of sellers.';
comment on column payments.status is 'processing: asked, no definite answer; failed: declined or refused, final; canceled: given up; succeeded: the buyer was charged.';
comment on column payments.funds is 'none: not charged; pending: charged, the provider still holds the money; available: it can be moved.';

create table payment_lines (
    book_id integer not null,
    payment_id uuid not null,
    line integer not null,
    type text not null,
    seller_id uuid,
    amount bigint not null,
    tax_amount bigint not null,
    tax_liability text not null,
    tax_jurisdiction text,
    category text,
    commission bigint not null,
    fee_policy_id uuid,
    fee_policy_version integer,
    refunded_amount bigint not null default 0,
    refunded_tax bigint not null default 0,
    returned_commission bigint not null default 0,
    primary key (book_id, payment_id, line),
    constraint payment_lines_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint payment_lines_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint payment_lines_type_known check (type in ('item', 'shipping', 'tip', 'platform')),
    constraint payment_lines_platform_has_no_seller check ((type = 'platform') = (seller_id is null)),
    constraint payment_lines_tax_of_a_seller_has_one check (tax_liability = 'platform' or seller_id is not null),
    constraint payment_lines_liability_known check (tax_liability in ('platform', 'seller')),
    constraint payment_lines_amounts_positive check (amount > 0 and tax_amount >= 0),
    constraint payment_lines_commission_within_amount check (commission between 0 and amount),
    constraint payment_lines_refund_within_amount check (refunded_amount between 0 and amount),
    constraint payment_lines_tax_refund_within_tax check (refunded_tax between 0 and tax_amount),
    constraint payment_lines_fee_return_within_fee check (returned_commission between 0 and commission)
);
create index payment_lines_by_seller on payment_lines (book_id, seller_id, payment_id);
create index payments_by_status on payments (book_id, status, id);
comment on table payment_lines is 'The split snapshot: every later event reads it. amount is net of tax_amount; both in minor units.';

-- ---------------------------------------------------------------------------------------------- operations

create table operation_transitions (
    from_state text not null,
    to_state text not null,
    primary key (from_state, to_state)
);
comment on table operation_transitions is 'The states of a durable command towards a provider, and what may follow what.';
insert into operation_transitions (from_state, to_state) values
    ('planned', 'submitting'),
    ('submitting', 'submitting'),
    ('submitting', 'succeeded'),
    ('submitting', 'failed'),
    ('submitting', 'unknown'),
    ('submitting', 'planned'),
    -- Another way than our own answer told of the object.
    ('planned', 'succeeded'),
    ('unknown', 'submitting'),
    ('unknown', 'succeeded'),
    ('unknown', 'failed');
grant select on operation_transitions to partita_app;

create table operations (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    kind text not null,
    object_type text not null,
    object_id uuid not null,
    object_key bigint not null,
    provider text not null,
    command jsonb not null,
    request jsonb not null,
    idempotency_key text not null,
    generation integer not null default 1,
    state text not null,
    attempt integer not null default 0,
    lease_until timestamptz,
    in_doubt boolean not null default false,
    first_sent_at timestamptz,
    next_attempt_at timestamptz not null,
    provider_object text,
    refusal jsonb,
    last_error text,
    actor text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint operations_key_unique unique (book_id, key),
    constraint operations_state_known check (state in ('planned', 'submitting', 'succeeded', 'failed', 'unknown')),
    constraint operations_lease_while_submitting check ((state = 'submitting') = (lease_until is not null))
);
create index operations_by_object on operations (book_id, object_id);
create index operations_open on operations (book_id, next_attempt_at) where state in ('planned', 'submitting', 'unknown');
comment on table operations is 'A command that has an effect at the provider: intent, stored key and stored bytes first, the call outside any transaction, the result in a second one.';
comment on column operations.state is 'planned: not sent; submitting: sent by the holder of the lease; unknown: nobody can tell whether it had an effect, the same key and bytes are sent again; succeeded, failed: final.';
comment on column operations.attempt is 'Fencing: a result is taken only from the attempt that the row names.';
comment on column operations.lease_until is 'Database clock.';
comment on column operations.in_doubt is 'An attempt may have had an effect that nobody has told us of.';
comment on column operations.first_sent_at is 'Business clock. The provider keeps keys for 24 h: past 23 h the same key is not sent again.';

create table operation_history (
    book_id integer not null,
    operation_id uuid not null,
    step integer not null,
    from_state text,
    to_state text not null,
    attempt integer not null,
    detail text,
    at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (book_id, operation_id, step),
    constraint operation_history_operation foreign key (book_id, operation_id) references operations (book_id, id)
);
comment on table operation_history is 'Each change of an operation''s state, written by the trigger of operations.';

create table provider_answers (
    book_id integer not null,
    operation_id uuid not null,
    attempt integer not null,
    status integer,
    body bytea,
    request_id text,
    note text,
    received_at timestamptz not null default clock_timestamp(),
    primary key (book_id, operation_id, attempt),
    constraint provider_answers_operation foreign key (book_id, operation_id) references operations (book_id, id)
);
comment on table provider_answers is 'What came back, as it came. No status: nothing came.';

create function operations_keep_transitions() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into operation_history (book_id, operation_id, step, from_state, to_state, attempt, detail, at)
        values (new.book_id, new.id, 1, null, new.state, new.attempt, null, new.updated_at);
        return new;
    end if;
    if new.id <> old.id or new.book_id <> old.book_id or new.command <> old.command or new.actor <> old.actor then
        raise exception 'an operation''s intent never changes' using constraint = 'operations_intent_fixed', errcode = '23514';
    end if;
    if (new.idempotency_key, new.request) is distinct from (old.idempotency_key, old.request)
        and new.generation <= old.generation then
        raise exception 'key and bytes change only with the generation' using constraint = 'operations_bytes_fixed', errcode = '23514';
    end if;
    if new.state <> old.state or new.attempt <> old.attempt then
        if not exists (select from operation_transitions t where t.from_state = old.state and t.to_state = new.state) then
            raise exception 'an operation cannot go from % to %', old.state, new.state
                using constraint = 'operations_transition_allowed', errcode = '23514';
        end if;
        insert into operation_history (book_id, operation_id, step, from_state, to_state, attempt, detail, at)
        select new.book_id, new.id, count(*) + 1, old.state, new.state, new.attempt, new.last_error, new.updated_at
        from operation_history h where h.book_id = new.book_id and h.operation_id = new.id;
    end if;
    return new;
end $$;
create trigger operations_transitions after insert or update on operations
    for each row execute function operations_keep_transitions();

-- ---------------------------------------------------------------------------------------------- what moved at the provider

create table provider_movements (
    book_id integer not null,
    key bigint not null,
    provider text not null,
    account text not null,
    movement_id text not null,
    kind text not null,
    amount bigint not null,
    fee bigint not null,
    net bigint not null,
    currency char(3) not null,
    state text not null,
    available_on timestamptz not null,
    created_on timestamptz not null,
    object_type text not null,
    object_id uuid,
    seen_in_run uuid,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (book_id, account, movement_id, provider),
    constraint provider_movements_key_unique unique (book_id, key),
    constraint provider_movements_state_known check (state in ('pending', 'available')),
    constraint provider_movements_net_adds_up check (net = amount - fee)
);
create index provider_movements_by_object on provider_movements (book_id, object_id);
comment on table provider_movements is 'Each balance transaction of the provider that the ledger has booked, by the provider''s id. key is the source of its ledger transactions.';
comment on column provider_movements.seen_in_run is 'The last reconciliation run that found it at the provider.';
comment on column provider_movements.account is 'The connected account''s id at the provider; empty for the platform''s own balance.';

-- ---------------------------------------------------------------------------------------------- transfers, refunds, payouts, top-ups

create table transfers (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text,
    payment_id uuid not null,
    seller_id uuid not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    reversed_amount bigint not null default 0,
    reversing_amount bigint not null default 0,
    provider text not null,
    provider_transfer text,
    failure jsonb,
    metadata jsonb not null default '{}',
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint transfers_key_unique unique (book_id, key),
    constraint transfers_reference_unique unique (book_id, reference),
    constraint transfers_provider_unique unique (book_id, provider_transfer, provider),
    constraint transfers_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint transfers_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint transfers_status_known check (status in ('processing', 'succeeded', 'failed')),
    constraint transfers_amount_positive check (amount > 0),
    constraint transfers_reversals_within_amount
        check (reversed_amount >= 0 and reversing_amount >= 0 and reversed_amount + reversing_amount <= amount)
);
create index transfers_by_seller on transfers (book_id, seller_id, id);
create index transfers_by_payment on transfers (book_id, payment_id);
comment on table transfers is 'A seller''s share of a payment, moved to its account at the provider.';
comment on column transfers.reversing_amount is 'Asked of the provider and not answered yet.';

create table transfer_reversals (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text,
    transfer_id uuid not null,
    payment_id uuid not null,
    seller_id uuid not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    provider text not null,
    provider_reversal text,
    failure jsonb,
    metadata jsonb not null default '{}',
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint transfer_reversals_key_unique unique (book_id, key),
    constraint transfer_reversals_reference_unique unique (book_id, reference),
    constraint transfer_reversals_provider_unique unique (book_id, provider_reversal, provider),
    constraint transfer_reversals_transfer foreign key (book_id, transfer_id) references transfers (book_id, id),
    constraint transfer_reversals_status_known check (status in ('processing', 'succeeded', 'failed')),
    constraint transfer_reversals_amount_positive check (amount > 0)
);
create index transfer_reversals_by_payment on transfer_reversals (book_id, payment_id);
comment on table transfer_reversals is 'A transfer taken back, in part or whole.';

create table refunds (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text,
    payment_id uuid not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    fee text not null,
    reason text,
    provider text not null,
    provider_refund text,
    failure jsonb,
    metadata jsonb not null default '{}',
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint refunds_key_unique unique (book_id, key),
    constraint refunds_reference_unique unique (book_id, reference),
    constraint refunds_provider_unique unique (book_id, provider_refund, provider),
    constraint refunds_payment foreign key (book_id, payment_id) references payments (book_id, id),
    constraint refunds_status_known check (status in ('processing', 'pending', 'succeeded', 'failed')),
    constraint refunds_fee_known check (fee in ('returned', 'kept')),
    constraint refunds_amount_positive check (amount > 0)
);
create index refunds_by_payment on refunds (book_id, payment_id);
comment on table refunds is 'Money given back to the buyer of a payment.';
comment on column refunds.status is 'processing: asked, no definite answer; pending: the provider has it and waits, for funds for instance; succeeded; failed.';

create table refund_lines (
    book_id integer not null,
    refund_id uuid not null,
    line integer not null,
    amount bigint not null,
    tax_amount bigint not null,
    commission bigint not null,
    primary key (book_id, refund_id, line),
    constraint refund_lines_refund foreign key (book_id, refund_id) references refunds (book_id, id),
    constraint refund_lines_amounts_positive check (amount >= 0 and tax_amount >= 0 and amount + tax_amount > 0),
    constraint refund_lines_commission_positive check (commission >= 0)
);
comment on table refund_lines is 'What each line of the payment gives back: net goods, its tax, and the commission the platform returns.';

create table top_ups (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    reference text not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    description text,
    provider text not null,
    provider_top_up text,
    failure jsonb,
    metadata jsonb not null default '{}',
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint top_ups_key_unique unique (book_id, key),
    constraint top_ups_reference_unique unique (book_id, reference),
    constraint top_ups_provider_unique unique (book_id, provider_top_up, provider),
    constraint top_ups_status_known check (status in ('processing', 'pending', 'succeeded', 'failed')),
    constraint top_ups_amount_positive check (amount > 0)
);
comment on table top_ups is 'Money of the platform''s bank account, added to its balance at the provider.';

create table payouts (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    seller_id uuid not null,
    amount bigint not null,
    currency char(3) not null,
    status text not null,
    automatic boolean not null,
    arrival_on timestamptz not null,
    provider text not null,
    provider_payout text not null,
    failure jsonb,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (book_id, id),
    constraint payouts_key_unique unique (book_id, key),
    constraint payouts_provider_unique unique (book_id, provider_payout, provider),
    constraint payouts_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint payouts_status_known check (status in ('pending', 'in_transit', 'paid', 'failed', 'canceled')),
    constraint payouts_amount_positive check (amount > 0)
);
create index payouts_by_seller on payouts (book_id, seller_id, id);
comment on table payouts is 'A seller''s payout to its bank, mirrored from the provider. paid is not final: a bank may return it.';

-- ---------------------------------------------------------------------------------------------- history, outbox, idempotency

create table state_history (
    book_id integer not null,
    object_type text not null,
    object_id uuid not null,
    sequence integer not null,
    from_state text,
    to_state text not null,
    actor text not null,
    detail text,
    at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (book_id, object_id, sequence)
);
comment on table state_history is 'Each change of an object''s state: who, when by the business clock, when it was recorded.';

create table outbox (
    book_id integer not null,
    object_type text not null,
    object_id uuid not null,
    sequence integer not null,
    event_id uuid not null,
    event_type text not null,
    payload jsonb not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (book_id, object_id, sequence),
    constraint outbox_event_unique unique (book_id, event_id)
);
create index outbox_by_type on outbox (book_id, event_type, event_id);
comment on table outbox is 'One event per change of state, with a sequence per object without gaps, written in the transaction of the change.';

create table idempotency_keys (
    book_id integer not null,
    key text not null,
    fingerprint bytea not null,
    object_type text,
    object_id uuid,
    response_status smallint,
    response_body bytea,
    created_at timestamptz not null,
    primary key (book_id, key),
    constraint idempotency_keys_key_form check (key ~ '^[!-~]{1,255}$'),
    constraint idempotency_keys_fingerprint_length check (length(fingerprint) = 32),
    constraint idempotency_keys_whole_response check ((response_status is null) = (response_body is null))
);
comment on table idempotency_keys is 'A claimed key with its stored answer, written in the transaction of the effect. The answer is fixed once.';

-- ---------------------------------------------------------------------------------------------- reconciliation

create table reconciliation_runs (
    book_id integer not null,
    id uuid not null,
    status text not null,
    accounts integer not null default 0,
    matched bigint not null default 0,
    adopted bigint not null default 0,
    breaks integer not null default 0,
    ledger_position jsonb,
    balances jsonb not null default '[]',
    error text,
    created_by text not null,
    created_at timestamptz not null,
    finished_at timestamptz,
    primary key (book_id, id),
    constraint reconciliation_runs_status_known check (status in ('running', 'succeeded', 'failed'))
);
create unique index reconciliation_runs_one_at_a_time on reconciliation_runs (book_id) where status = 'running';
comment on table reconciliation_runs is 'One comparison of the ledger with the provider. matched counts balance transactions that agree one to one.';

create table reconciliation_breaks (
    book_id integer not null,
    id uuid not null,
    run_id uuid not null,
    kind text not null,
    account text not null,
    movement_id text,
    currency char(3) not null,
    ledger_amount bigint,
    provider_amount bigint,
    detail text not null,
    created_at timestamptz not null,
    primary key (book_id, id),
    constraint reconciliation_breaks_run foreign key (book_id, run_id) references reconciliation_runs (book_id, id),
    constraint reconciliation_breaks_kind_known check (kind in
        ('missing_in_ledger', 'missing_at_provider', 'amount_mismatch', 'currency_mismatch', 'fee_mismatch', 'timing', 'duplicate', 'balance_mismatch'))
);
create index reconciliation_breaks_by_run on reconciliation_breaks (book_id, run_id, id);
comment on table reconciliation_breaks is 'A difference between ledger and provider. Never an adjustment: it stays visible until its cause is gone.';

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using constraint = tg_table_name || '_append_only', errcode = '23514';
end $$;

do $$
declare
    name text;
begin
    foreach name in array array[
        'book_counters', 'sellers', 'onboarding_links', 'fee_policies', 'fee_policy_versions', 'payments', 'payment_lines', 'operations',
        'operation_history', 'provider_answers', 'provider_movements', 'transfers', 'transfer_reversals', 'refunds', 'refund_lines',
        'top_ups', 'payouts', 'state_history', 'outbox', 'idempotency_keys', 'reconciliation_runs', 'reconciliation_breaks'
    ] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
    foreach name in array array[
        'fee_policy_versions', 'operation_history', 'provider_answers', 'refund_lines', 'state_history', 'outbox', 'reconciliation_breaks'
    ] loop
        execute format('create trigger %I before update or delete on %I for each row execute function refuse_change()',
            name || '_no_change', name);
        execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()',
            name || '_no_truncate', name);
    end loop;
end $$;

-- Only what a life changes may be changed: amounts, currencies, owners and splits stand.
grant update (last_seller) on book_counters to partita_app;
grant update (status, account, charges_enabled, payouts_enabled, details_submitted, transfers_active, capabilities, currently_due,
              past_due, disabled_reason, deadline, sequence, updated_at) on sellers to partita_app;
grant update (used_at) on onboarding_links to partita_app;
grant update (is_default, version, updated_at) on fee_policies to partita_app;
grant update (status, funds, processor_fee, refunded_amount, available_on, provider_payment, provider_charge, failure, sequence,
              updated_at) on payments to partita_app;
grant update (refunded_amount, refunded_tax, returned_commission) on payment_lines to partita_app;
grant update (state, attempt, lease_until, in_doubt, first_sent_at, next_attempt_at, provider_object, refusal, last_error, generation,
              idempotency_key, request, updated_at) on operations to partita_app;
grant update (state, seen_in_run) on provider_movements to partita_app;
grant update (status, reversed_amount, reversing_amount, provider_transfer, failure, sequence, updated_at) on transfers to partita_app;
grant update (status, provider_reversal, failure, sequence, updated_at) on transfer_reversals to partita_app;
grant update (status, provider_refund, failure, sequence, updated_at) on refunds to partita_app;
grant update (status, provider_top_up, failure, sequence, updated_at) on top_ups to partita_app;
grant update (status, failure, sequence, updated_at) on payouts to partita_app;
grant update (object_type, object_id, response_status, response_body) on idempotency_keys to partita_app;
grant update (status, accounts, matched, adopted, breaks, ledger_position, balances, error, finished_at)
    on reconciliation_runs to partita_app;

create function idempotency_keys_keep_answers() returns trigger language plpgsql as $$
begin
    if old.response_status is not null
        and (new.response_status, new.response_body) is distinct from (old.response_status, old.response_body) then
        raise exception 'an answer is fixed once' using constraint = 'idempotency_keys_answer_fixed', errcode = '23514';
    end if;
    return new;
end $$;
create trigger idempotency_keys_answers before update on idempotency_keys
    for each row execute function idempotency_keys_keep_answers();

-- ---------------------------------------------------------------------------------------------- what the ledger's transactions are called

insert into ledger_transaction_kinds (code, name, description) values
    (1, 'payment_charged', 'A buyer was charged: the split, the commission and the processor''s fee.'),
    (2, 'funds_available', 'The provider made money of a movement usable.'),
    (3, 'shares_released', 'Sellers'' shares of a payment became usable.'),
    (10, 'transfer_asked', 'A transfer to a seller was asked.'),
    (11, 'transfer_confirmed', 'The provider moved it.'),
    (12, 'transfer_refused', 'The provider refused it.'),
    (13, 'transfer_arrived', 'Mirror: it arrived on the seller''s account.'),
    (14, 'reversal_confirmed', 'The provider took a transfer back.'),
    (15, 'reversal_taken', 'Mirror: it left the seller''s account.'),
    (20, 'refund_asked', 'A refund was asked.'),
    (21, 'refund_confirmed', 'The provider took it from the platform''s balance.'),
    (22, 'refund_refused', 'The provider refused it.'),
    (30, 'payout_sent', 'Mirror: a seller''s payout left its account.'),
    (31, 'payout_paid', 'Mirror: it reached the bank.'),
    (32, 'payout_failed', 'Mirror: it came back.'),
    (40, 'top_up_asked', 'A top-up was asked.'),
    (41, 'top_up_confirmed', 'It arrived at the provider.'),
    (42, 'top_up_refused', 'The bank or the provider refused it.'),
    (50, 'reserve_changed', 'The provider changed what it reserves against negative connected accounts.');

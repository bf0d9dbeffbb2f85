-- Webhooks out: who gets them, what they are signed with, what became of each. And all signing secrets encrypted at rest.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- secrets of incoming webhooks

-- The clear text of older rows is sealed by the first worker that starts with an encryption key; SQL has no key.
alter table incoming_webhook_secrets drop constraint incoming_webhook_secrets_pkey;
alter table incoming_webhook_secrets
    add column id uuid not null default gen_random_uuid(),
    add column sealed bytea,
    add column key_version smallint;
alter table incoming_webhook_secrets alter column secret drop not null;
alter table incoming_webhook_secrets
    add constraint incoming_webhook_secrets_pkey primary key (token, id),
    add constraint incoming_webhook_secrets_clear_or_sealed check ((secret is null) = (sealed is not null)),
    add constraint incoming_webhook_secrets_sealed_names_its_key check ((sealed is null) = (key_version is null));

comment on column incoming_webhook_secrets.secret is
    'In clear text as older releases stored it; none once it is sealed. Never logged.';
comment on column incoming_webhook_secrets.sealed is
    'As the provider shows it, its prefix included; encrypted for this table, this column and this id.';
comment on column incoming_webhook_secrets.key_version is 'Which of the configured encryption keys opens it.';

create function incoming_webhook_secrets_only_seal() returns trigger language plpgsql as $$
begin
    if new.secret is not null and new.secret is distinct from old.secret then
        raise exception 'a signing secret is sealed, never put in clear text'
            using constraint = 'incoming_webhook_secrets_only_seal', errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;

comment on function incoming_webhook_secrets_only_seal() is 'Lets a secret in clear text become none, and nothing else.';

create trigger incoming_webhook_secrets_only_seal before update on incoming_webhook_secrets
    for each row execute function incoming_webhook_secrets_only_seal();

grant update (secret, sealed, key_version) on incoming_webhook_secrets to partita_app;

-- ---------------------------------------------------------------------------------------------- endpoints

create table webhook_endpoints (
    book_id integer not null,
    id uuid not null,
    key bigint not null,
    url text not null,
    description text,
    events text[] not null,
    status text not null,
    disabled_reason text,
    signing text not null,
    api_version text not null,
    metadata jsonb not null default '{}',
    failing_since timestamptz,
    throttled_until timestamptz,
    created_by text not null,
    sequence integer not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint webhook_endpoints_pkey primary key (book_id, id),
    constraint webhook_endpoints_key_unique unique (book_id, key),
    constraint webhook_endpoints_url_length check (length(url) between 1 and 6000),
    constraint webhook_endpoints_some_event check (cardinality(events) > 0),
    constraint webhook_endpoints_status_known check (status in ('enabled', 'disabled', 'deleted')),
    constraint webhook_endpoints_reason_known check (disabled_reason in ('asked', 'gone', 'failing')),
    constraint webhook_endpoints_reason_while_disabled check ((status = 'disabled') = (disabled_reason is not null)),
    constraint webhook_endpoints_signing_known check (signing in ('hmac', 'ed25519'))
);

comment on table webhook_endpoints is 'An address of the platform that gets events as signed webhooks.';
comment on column webhook_endpoints.key is 'Its number in due.';
comment on column webhook_endpoints.events is 'Which it gets: exact types, everything of a resource (payment.*), or everything (*).';
comment on column webhook_endpoints.status is
    'enabled; disabled: gets nothing, what waits stays; deleted: final, the rows stay for the log.';
comment on column webhook_endpoints.disabled_reason is
    'asked: by a key of the platform; gone: it answered 410; failing: nothing but failures for 75 hours.';
comment on column webhook_endpoints.signing is 'hmac: a shared secret, v1; ed25519: a key pair, v1a.';
comment on column webhook_endpoints.api_version is 'The dated version of the interface that its events are in.';
comment on column webhook_endpoints.failing_since is 'The first failure since the last success. Business clock.';
comment on column webhook_endpoints.throttled_until is 'It said that it gets too much: nothing is sent before. Business clock.';

create table webhook_endpoint_secrets (
    book_id integer not null,
    id uuid not null,
    endpoint_id uuid not null,
    sealed bytea not null,
    key_version smallint not null,
    public_key text,
    created_at timestamptz not null,
    expires_at timestamptz,
    constraint webhook_endpoint_secrets_pkey primary key (book_id, id),
    constraint webhook_endpoint_secrets_endpoint foreign key (book_id, endpoint_id) references webhook_endpoints (book_id, id),
    constraint webhook_endpoint_secrets_public_form check (public_key ~ '^whpk_')
);

create index webhook_endpoint_secrets_by_endpoint on webhook_endpoint_secrets (book_id, endpoint_id, created_at);

comment on table webhook_endpoint_secrets is
    'What an endpoint''s deliveries are signed with; several while one is being replaced, each of which signs.';
comment on column webhook_endpoint_secrets.sealed is
    'whsec_ or whsk_ and base64, encrypted for this table, this column and this id. Shown once when it is made.';
comment on column webhook_endpoint_secrets.key_version is 'Which of the configured encryption keys opens it.';
comment on column webhook_endpoint_secrets.public_key is 'whpk_ and base64 of an Ed25519 key; not secret.';
comment on column webhook_endpoint_secrets.expires_at is 'From then on it signs nothing; none: the newest. Business clock.';

-- ---------------------------------------------------------------------------------------------- from events to deliveries

create table event_fanout (
    book_id integer not null,
    event_id uuid not null,
    constraint event_fanout_pkey primary key (book_id, event_id)
);

comment on table event_fanout is
    'Events whose deliveries are not made yet: written in the transaction of the event, taken away in that of its deliveries. '
    'Claimed by being there, never by a number that rises: numbers do not follow commits. Routing table.';

-- A replay asks for a range of time. Events are written in that order but for seconds, so a few pages of marks will do.
create index outbox_by_time on outbox using brin (occurred_at) with (pages_per_range = 16);

create table webhook_deliveries (
    book_id integer not null,
    id uuid not null,
    endpoint_id uuid not null,
    event_id uuid not null,
    reason text not null,
    status text not null,
    attempt integer not null default 0,
    next_attempt_at timestamptz,
    lease_until timestamptz,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint webhook_deliveries_pkey primary key (book_id, id),
    constraint webhook_deliveries_endpoint foreign key (book_id, endpoint_id) references webhook_endpoints (book_id, id),
    constraint webhook_deliveries_event foreign key (book_id, event_id) references outbox (book_id, event_id),
    constraint webhook_deliveries_reason_known check (reason in ('event', 'resend', 'replay', 'test')),
    constraint webhook_deliveries_status_known check (status in ('pending', 'sending', 'delivered', 'failed', 'canceled')),
    constraint webhook_deliveries_waits_for_a_time check ((status in ('pending', 'sending')) = (next_attempt_at is not null)),
    constraint webhook_deliveries_lease_while_sending check ((status = 'sending') = (lease_until is not null)),
    constraint webhook_deliveries_attempts_count_up check (attempt >= 0)
);

create unique index webhook_deliveries_once_per_event on webhook_deliveries (book_id, endpoint_id, event_id) where reason = 'event';
create index webhook_deliveries_open on webhook_deliveries (book_id, endpoint_id, next_attempt_at, event_id)
    where status in ('pending', 'sending');
create index webhook_deliveries_by_event on webhook_deliveries (book_id, event_id, id);
create index webhook_deliveries_by_endpoint on webhook_deliveries (book_id, endpoint_id, id);

comment on table webhook_deliveries is 'One event on its way to one endpoint.';
comment on column webhook_deliveries.reason is
    'event: it happened; resend: somebody asked for this one again; replay: for a range again; test: for a test.';
comment on column webhook_deliveries.status is
    'pending: to be sent at next_attempt_at; sending: a worker has it until lease_until; delivered: answered 2xx, final; '
    'failed: given up after the last attempt, final; canceled: the endpoint was deleted, final.';
comment on column webhook_deliveries.attempt is 'Fencing: a result is taken only from the attempt that the row names.';
comment on column webhook_deliveries.next_attempt_at is 'Business clock.';
comment on column webhook_deliveries.lease_until is 'Database clock.';

create table webhook_delivery_attempts (
    book_id integer not null,
    delivery_id uuid not null,
    attempt integer not null,
    at timestamptz not null,
    duration_ms integer not null,
    response_status smallint,
    response_body text,
    error text,
    recorded_at timestamptz not null default clock_timestamp(),
    constraint webhook_delivery_attempts_pkey primary key (book_id, delivery_id, attempt),
    constraint webhook_delivery_attempts_delivery foreign key (book_id, delivery_id) references webhook_deliveries (book_id, id),
    constraint webhook_delivery_attempts_answer_or_error check ((response_status is null) = (error is not null))
);

comment on table webhook_delivery_attempts is
    'Each attempt whose outcome is known. A number that is missing is one whose worker died: it may have arrived.';
comment on column webhook_delivery_attempts.at is 'When it was sent. Business clock.';
comment on column webhook_delivery_attempts.response_body is 'The beginning of it, card numbers masked. Untrusted text.';
comment on column webhook_delivery_attempts.error is 'Why there was no answer.';

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array[
        'webhook_endpoints', 'webhook_endpoint_secrets', 'webhook_deliveries', 'webhook_delivery_attempts'
    ] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end $$;

create trigger webhook_delivery_attempts_no_change before update or delete on webhook_delivery_attempts
    for each row execute function refuse_change();
create trigger webhook_delivery_attempts_no_truncate before truncate on webhook_delivery_attempts
    for each statement execute function refuse_change();

-- To lock a row needs the right to update it.
grant select, insert, update, delete on event_fanout to partita_app;
grant update (url, description, events, status, disabled_reason, metadata, failing_since, throttled_until, sequence, updated_at)
    on webhook_endpoints to partita_app;
grant update (sealed, key_version, expires_at) on webhook_endpoint_secrets to partita_app;
grant update (status, attempt, next_attempt_at, lease_until, updated_at) on webhook_deliveries to partita_app;

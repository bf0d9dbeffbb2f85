-- What providers tell us: the endpoints they call, the durable inbox, and the list of what is due.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- due (routing table)

create table due (
    kind text not null,
    book_id integer not null,
    id bigint not null,
    due_at timestamptz not null,
    lease_until timestamptz,
    constraint due_pkey primary key (kind, book_id, id),
    constraint due_kind_is_a_word check (kind ~ '^[a-z][a-z_]{0,31}$'),
    constraint due_book_is_positive check (book_id > 0)
) with (fillfactor = 70);

create index due_in_order on due (kind, due_at, book_id, id);

comment on table due is
    'What a worker has to do, and when: read before the book is known. Routing table: no row-level security, no payload. '
    'A worker leases rows here and then opens one transaction per book.';
comment on column due.kind is
    'The queue. inbox: the book has events in inbox_events that are not applied; one row per book, id 0.';
comment on column due.book_id is 'The book that the work belongs to.';
comment on column due.id is 'What is due, by its internal key; 0 where one row stands for all work of its kind in the book.';
comment on column due.due_at is 'Not to be done earlier. Business clock.';
comment on column due.lease_until is 'A worker has taken it and has until then; none or past: free. Database clock.';

grant select, insert, update, delete on due to partita_app;

-- ---------------------------------------------------------------------------------------------- endpoints (routing tables)

create table incoming_webhook_endpoints (
    token text not null,
    book_id integer not null,
    provider text not null,
    kind text not null,
    mode text not null,
    created_at timestamptz not null,
    disabled_at timestamptz,
    constraint incoming_webhook_endpoints_pkey primary key (token),
    constraint incoming_webhook_endpoints_token_is_unguessable check (token ~ '^[A-Za-z0-9_-]{22,128}$'),
    constraint incoming_webhook_endpoints_book_is_positive check (book_id > 0),
    constraint incoming_webhook_endpoints_provider_is_a_word check (provider ~ '^[a-z][a-z0-9_]{0,31}$'),
    constraint incoming_webhook_endpoints_kind_is_known check (kind in ('platform', 'connect')),
    constraint incoming_webhook_endpoints_mode_is_known check (mode in ('test', 'live'))
);

create index incoming_webhook_endpoints_by_book on incoming_webhook_endpoints (book_id);

comment on table incoming_webhook_endpoints is
    'The addresses that providers send their webhooks to, each of one book. Routing table: read by the token in the path '
    'before the book is known.';
comment on column incoming_webhook_endpoints.token is
    'The last part of the path. Unguessable so that endpoints cannot be probed; what authenticates a delivery is its signature.';
comment on column incoming_webhook_endpoints.kind is
    'platform: events of the platform''s own account; connect: events of connected accounts, which name the account.';
comment on column incoming_webhook_endpoints.mode is
    'The mode of the book. test: only events without real money are taken; live: only events with.';
comment on column incoming_webhook_endpoints.created_at is 'Business clock.';
comment on column incoming_webhook_endpoints.disabled_at is 'From then on the endpoint is answered as if it did not exist. Business clock.';

create table incoming_webhook_secrets (
    token text not null,
    secret text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    constraint incoming_webhook_secrets_pkey primary key (token, secret),
    constraint incoming_webhook_secrets_endpoint foreign key (token) references incoming_webhook_endpoints (token),
    constraint incoming_webhook_secrets_not_blank check (length(btrim(secret)) between 8 and 255)
);

comment on table incoming_webhook_secrets is
    'What an endpoint''s deliveries are signed with; several while one is being replaced. A signature needs the secret itself, '
    'a hash would not do. Routing table.';
comment on column incoming_webhook_secrets.secret is 'As the provider shows it, its prefix included. Never logged.';
comment on column incoming_webhook_secrets.created_at is 'Business clock.';
comment on column incoming_webhook_secrets.expires_at is 'From then on it opens nothing; none: valid until replaced. Business clock.';

grant select, insert, update (disabled_at) on incoming_webhook_endpoints to partita_app;
grant select, insert, update (expires_at) on incoming_webhook_secrets to partita_app;

-- ---------------------------------------------------------------------------------------------- inbox

create table inbox_events (
    book_id integer not null,
    provider text not null,
    account text not null default '',
    event_id text not null,
    kind text not null,
    livemode boolean not null,
    created_at timestamptz not null,
    raw bytea not null,
    masked boolean not null,
    received_at timestamptz not null default now(),
    state text not null default 'received',
    attempts integer not null default 0,
    next_attempt_at timestamptz not null,
    last_error text,
    applied_at timestamptz,
    constraint inbox_events_pkey primary key (book_id, provider, account, event_id),
    constraint inbox_events_book_is_positive check (book_id > 0),
    constraint inbox_events_provider_is_a_word check (provider ~ '^[a-z][a-z0-9_]{0,31}$'),
    constraint inbox_events_account_length check (length(account) <= 255),
    constraint inbox_events_event_id_length check (length(event_id) between 1 and 255),
    constraint inbox_events_kind_length check (length(kind) between 1 and 255),
    constraint inbox_events_raw_size check (octet_length(raw) between 1 and 1048576),
    constraint inbox_events_state_is_known check (state in ('received', 'applied', 'parked', 'ignored', 'quarantined')),
    constraint inbox_events_attempts_count_up check (attempts >= 0),
    constraint inbox_events_applied_has_its_time check ((state = 'applied') = (applied_at is not null)),
    constraint inbox_events_trouble_has_a_reason check (state not in ('parked', 'quarantined') or last_error is not null)
);

create index inbox_events_open on inbox_events (book_id, next_attempt_at, created_at, provider, account, event_id)
    where state in ('received', 'parked');
create index inbox_events_by_arrival on inbox_events (book_id, received_at, provider, account, event_id);

comment on table inbox_events is
    'Every webhook whose signature was good, once, as it came. It is stored before it is answered and applied afterwards; what '
    'it says is a hint to look, its order means nothing. Rows are kept: identity and body never change.';
comment on column inbox_events.account is 'The connected account it came from, by its id at the provider; empty for the platform''s own.';
comment on column inbox_events.event_id is 'The provider''s id: the same event delivered twice has the same one.';
comment on column inbox_events.kind is 'The provider''s word for what happened; also words that we do not know.';
comment on column inbox_events.livemode is 'Whether real money is meant. Always that of the book''s mode.';
comment on column inbox_events.created_at is 'When it happened. The provider''s clock.';
comment on column inbox_events.raw is 'The body as it came, card numbers masked.';
comment on column inbox_events.masked is 'Whether a card number was masked: the signature does not match raw any more.';
comment on column inbox_events.received_at is 'When it was stored. Database clock.';
comment on column inbox_events.state is
    'received: not looked at yet; applied: its effect is committed, final; parked: cannot be applied yet, tried again at '
    'next_attempt_at; ignored: of a type that means nothing to this release; quarantined: given up, a person has to look.';
comment on column inbox_events.attempts is 'How often it was tried without being applied or ignored.';
comment on column inbox_events.next_attempt_at is 'Not to be tried earlier. Business clock.';
comment on column inbox_events.last_error is 'Why it was parked or quarantined the last time. For people.';
comment on column inbox_events.applied_at is 'When its effect was booked. Business clock.';

create table inbox_event_transitions (
    from_state text not null,
    to_state text not null,
    constraint inbox_event_transitions_pkey primary key (from_state, to_state)
);

comment on table inbox_event_transitions is 'Which state of an inbox event may follow which; read by the trigger of inbox_events.';

insert into inbox_event_transitions (from_state, to_state) values
    ('received', 'applied'),
    ('received', 'parked'),
    ('received', 'ignored'),
    ('received', 'quarantined'),
    ('parked', 'applied'),
    ('parked', 'parked'),
    ('parked', 'ignored'),
    ('parked', 'quarantined'),
    -- Reopened: by a person, or by a release that has learnt the type.
    ('quarantined', 'received'),
    ('ignored', 'received');

create function inbox_events_keep_history() returns trigger language plpgsql as $$
begin
    if tg_op <> 'UPDATE' then
        raise exception 'inbox events are kept'
            using constraint = 'inbox_events_are_kept', errcode = 'check_violation';
    end if;
    if (new.book_id, new.provider, new.account, new.event_id, new.kind, new.livemode, new.created_at, new.raw, new.masked,
            new.received_at)
        is distinct from
       (old.book_id, old.provider, old.account, old.event_id, old.kind, old.livemode, old.created_at, old.raw, old.masked,
            old.received_at)
    then
        raise exception 'an inbox event''s identity and body never change'
            using constraint = 'inbox_events_content_is_fixed', errcode = 'check_violation';
    end if;
    if not exists (
        select from inbox_event_transitions as allowed
        where allowed.from_state = old.state and allowed.to_state = new.state
    ) then
        raise exception 'an inbox event cannot go from % to %', old.state, new.state
            using constraint = 'inbox_events_transition_is_allowed', errcode = 'check_violation';
    end if;
    return new;
end $$;

comment on function inbox_events_keep_history() is 'Keeps inbox events: no delete, no truncate, a fixed body, lawful changes of state only.';

create trigger inbox_events_keep_rows before update or delete on inbox_events
    for each row execute function inbox_events_keep_history();
create trigger inbox_events_keep_table before truncate on inbox_events
    for each statement execute function inbox_events_keep_history();

alter table inbox_events enable row level security;
alter table inbox_events force row level security;
create policy inbox_events_of_the_book on inbox_events
    using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);

grant select, insert on inbox_events to partita_app;
grant update (state, attempts, next_attempt_at, last_error, applied_at) on inbox_events to partita_app;
grant select on inbox_event_transitions to partita_app;

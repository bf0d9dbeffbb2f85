-- Instant payouts: a seller has its money within minutes, for a fee that the provider takes with the payout.
--
-- A release of before does not know the fee: it takes a payout whose movement is more than its amount for a contradiction, which
-- waits for a process that knows. Ask for instant payouts once every process is of this release.
--
-- Locks, until the commit: ACCESS EXCLUSIVE on payouts, of which no row is read.

set local lock_timeout = '2s';

create table instant_payout_policies (
    book_id integer not null,
    version integer not null,
    percent_bps integer not null,
    amounts jsonb not null,
    when_failed text not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, version),
    constraint instant_payout_policies_version_counts check (version > 0),
    constraint instant_payout_policies_percent_range check (percent_bps between 0 and 10000),
    constraint instant_payout_policies_when_failed_known check (when_failed in ('returned', 'kept'))
);
comment on table instant_payout_policies is
    'What a seller pays for an instant payout; the newest version holds for those asked from then on. None: nothing.';
comment on column instant_payout_policies.amounts is 'Per currency: fixed, minimum, maximum, in minor units.';
comment on column instant_payout_policies.when_failed is
    'What becomes of the fee of a payout that comes back: returned to the seller, or kept by the platform.';

alter table instant_payout_policies enable row level security;
alter table instant_payout_policies force row level security;
create policy instant_payout_policies_of_book on instant_payout_policies
    using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert on instant_payout_policies to partita_app;
create trigger instant_payout_policies_no_change before update or delete on instant_payout_policies
    for each row execute function refuse_change();
create trigger instant_payout_policies_no_truncate before truncate on instant_payout_policies
    for each statement execute function refuse_change();

alter table payouts
    add column fee_policy_version integer,
    add column fee_quoted bigint,
    add column fee_taken bigint not null default 0,
    add column fee_returned bigint not null default 0,
    add column provider_fee text,
    drop constraint payouts_method_known,
    add constraint payouts_method_known check (method in ('provider', 'instant', 'bank_file')) not valid,
    add constraint payouts_fee_quoted_when_instant check (
        case when method = 'instant' then fee_quoted >= 0 and fee_policy_version >= 0
             else num_nonnulls(fee_quoted, fee_policy_version) = 0 end) not valid,
    add constraint payouts_fee_in_order check (fee_taken >= 0 and fee_returned between 0 and fee_taken) not valid;
comment on column payouts.method is
    'provider: from the seller''s account there; instant: the same, within minutes and for a fee; bank_file: from the platform''s own '
    'bank account.';
comment on column payouts.fee_policy_version is 'The version of the platform''s policy that its fee was quoted by; 0: none was declared.';
comment on column payouts.fee_quoted is 'What it was to cost the seller; minor units.';
comment on column payouts.fee_taken is 'What the provider took from the seller''s account with it; minor units.';
comment on column payouts.fee_returned is 'What of that came back with it; minor units.';
comment on column payouts.provider_fee is 'The fee''s id at the provider, once it has reached the platform.';
grant update (fee_taken, fee_returned, provider_fee) on payouts to partita_app;

insert into ledger_transaction_kinds (code, name, description) values
    (110, 'payout_fee_taken', 'The platform got the fee of an instant payout.'),
    (111, 'payout_fee_returned', 'The fee of an instant payout that came back was given back.'),
    (112, 'payout_cost_taken', 'The provider took what instant payouts cost the platform.');

insert into state_changes_allowed (object_type, from_state, to_state) values ('instant_payout_policy', '', 'declared');

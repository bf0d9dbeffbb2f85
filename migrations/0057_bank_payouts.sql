-- Payouts by bank file: the platform pays sellers from its own bank account, by a file that the bank takes.
--
-- An older release goes on: it knows nobody who is paid so, and shows such a payout as any other. Let sellers be paid so once
-- every process is of this release: an older one sends a share that such a seller has to its account at the provider.
--
-- Locks, until the commit: ACCESS EXCLUSIVE on payouts, of which no row is read, and on stuck_money, whose few rows are.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- bank details

create table seller_bank_details (
    book_id integer not null,
    id uuid not null,
    seller_id uuid not null,
    version integer not null,
    masked text,
    sealed bytea,
    key_version smallint,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, id),
    constraint seller_bank_details_version_unique unique (book_id, seller_id, version),
    constraint seller_bank_details_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint seller_bank_details_version_counts check (version > 0),
    constraint seller_bank_details_whole check (num_nonnulls(masked, sealed, key_version) in (0, 3))
);
comment on table seller_bank_details is
    'Where a seller is paid by bank file; the newest version holds. One without details: the provider pays it out again.';
comment on column seller_bank_details.masked is 'Country and the last four characters of the IBAN.';
comment on column seller_bank_details.sealed is 'Holder, IBAN and BIC, encrypted: db/src/vault.rs.';
comment on column seller_bank_details.key_version is 'Which of the configured encryption keys opens it.';

create table own_bank_accounts (
    book_id integer not null,
    id uuid not null,
    currency char(3) not null,
    version integer not null,
    masked text not null,
    sealed bytea not null,
    key_version smallint not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, id),
    constraint own_bank_accounts_version_unique unique (book_id, currency, version),
    constraint own_bank_accounts_version_counts check (version > 0)
);
comment on table own_bank_accounts is 'The platform''s own bank account that a currency is paid from by bank file; the newest version holds.';
comment on column own_bank_accounts.sealed is 'Holder, IBAN and BIC, encrypted: db/src/vault.rs.';

-- ---------------------------------------------------------------------------------------------- files and payouts

create table bank_files (
    book_id integer not null,
    id uuid not null,
    reference text not null,
    own_account uuid not null,
    currency char(3) not null,
    execute_on date not null,
    payouts integer not null,
    amount bigint not null,
    digest bytea not null,
    sealed bytea not null,
    key_version smallint not null,
    created_by text not null,
    sequence integer not null default 1,
    created_at timestamptz not null,
    primary key (book_id, id),
    constraint bank_files_reference_unique unique (book_id, reference),
    constraint bank_files_own_account foreign key (book_id, own_account) references own_bank_accounts (book_id, id),
    constraint bank_files_of_something check (payouts > 0 and amount > 0),
    constraint bank_files_digest_length check (octet_length(digest) = 32)
);
comment on table bank_files is 'What a bank is asked to pay, as one file: ISO 20022 pain.001.001.09. Made once, never changed.';
comment on column bank_files.digest is 'SHA-256 of the file''s bytes.';
comment on column bank_files.sealed is 'The file''s bytes, encrypted: db/src/vault.rs.';
comment on column bank_files.amount is 'The sum of its payouts; minor units.';

alter table payouts
    add column method text not null default 'provider',
    add column bank_details uuid,
    add column bank_file uuid,
    add column return_code text,
    drop constraint payouts_known_at_provider,
    add constraint payouts_known_at_provider check (
        method = 'bank_file' or provider_payout is not null and arrival_on is not null or status in ('processing', 'failed'))
        not valid,
    add constraint payouts_method_known check (method in ('provider', 'bank_file')) not valid,
    add constraint payouts_by_bank_file_whole check (
        case when method = 'bank_file'
             then bank_details is not null and provider_payout is null and status <> 'processing'
                  and (bank_file is not null) = (status in ('in_transit', 'paid', 'failed'))
                  and (return_code is not null) = (status = 'failed')
             else num_nonnulls(bank_details, bank_file, return_code) = 0 end) not valid,
    add constraint payouts_return_code_form check (return_code ~ '^[A-Z]{2}[A-Z0-9]{2}$') not valid,
    add constraint payouts_bank_details foreign key (book_id, bank_details)
        references seller_bank_details (book_id, id) not valid,
    add constraint payouts_bank_file foreign key (book_id, bank_file) references bank_files (book_id, id) not valid;
comment on column payouts.method is 'provider: from the seller''s account there; bank_file: from the platform''s own bank account.';
comment on column payouts.bank_details is 'Where it is paid by bank file.';
comment on column payouts.bank_file is 'The file that it is in.';
comment on column payouts.return_code is 'Why the bank sent it back: a code of ISO 20022 (ExternalReturnReason1Code, ExternalStatusReason1Code).';
create index payouts_of_bank_file on payouts (book_id, bank_file) where bank_file is not null;
create index payouts_for_bank_file on payouts (book_id, currency) where method = 'bank_file' and status = 'pending';
create index payouts_by_bank_open on payouts (book_id, updated_at) where method = 'bank_file' and status in ('pending', 'in_transit');
grant update (bank_file, return_code) on payouts to partita_app;

create function payouts_keep_bank_file() returns trigger language plpgsql as $$
begin
    if old.bank_file is not null and new.bank_file is distinct from old.bank_file
       or old.return_code is not null and new.return_code is distinct from old.return_code then
        raise exception 'a payout is in one bank file and comes back once' using constraint = 'payouts_in_one_bank_file', errcode = '23514';
    end if;
    return new;
end $$;
comment on function payouts_keep_bank_file() is 'Keeps in which file a payout is, and why it came back.';
create trigger payouts_keep_bank_file before update on payouts for each row
    when (old.method = 'bank_file') execute function payouts_keep_bank_file();

-- ---------------------------------------------------------------------------------------------- what is paid of what

create table bank_payout_parts (
    book_id integer not null,
    key bigint not null,
    payout_id uuid not null,
    seller_id uuid not null,
    subject bigint not null,
    payment_id uuid,
    adjustment_id uuid,
    amount bigint not null,
    undone boolean not null default false,
    primary key (book_id, key),
    constraint bank_payout_parts_once unique (book_id, payout_id, subject),
    constraint bank_payout_parts_payout foreign key (book_id, payout_id) references payouts (book_id, id),
    constraint bank_payout_parts_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint bank_payout_parts_amount_positive check (amount > 0),
    constraint bank_payout_parts_of_one check (num_nonnulls(payment_id, adjustment_id) = 1)
);
create index bank_payout_parts_by_payment on bank_payout_parts (book_id, payment_id) where payment_id is not null;
create index bank_payout_parts_by_adjustment on bank_payout_parts (book_id, adjustment_id) where adjustment_id is not null;
comment on table bank_payout_parts is
    'What a payout by bank file pays of a payment or an adjustment; key is the source of its bookings, subject their subject.';
comment on column bank_payout_parts.undone is 'The payout was given up or came back: the money is the seller''s again.';

create table bank_payables (
    book_id integer not null,
    seller_id uuid not null,
    subject bigint not null,
    payment_id uuid,
    adjustment_id uuid,
    amount bigint not null,
    primary key (book_id, seller_id, subject),
    constraint bank_payables_amount_positive check (amount > 0),
    constraint bank_payables_of_one check (num_nonnulls(payment_id, adjustment_id) = 1)
);
comment on table bank_payables is
    'Of which payments and adjustments a seller that is paid by bank file has something to be paid: where the next payout looks. How much is decided under the lock of each.';

-- Few rows; a payout by bank file may wait too long for its file, or for its bank.
alter table stuck_money
    drop constraint stuck_money_object_type_known,
    add constraint stuck_money_object_type_known
        check (object_type in ('seller', 'platform', 'operation', 'refund', 'top_up', 'payout'));

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['seller_bank_details', 'own_bank_accounts', 'bank_files', 'bank_payout_parts', 'bank_payables'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy %I on %I using (book_id = current_setting(''partita.book'')::integer) '
            'with check (book_id = current_setting(''partita.book'')::integer)', name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
    foreach name in array array['seller_bank_details', 'own_bank_accounts', 'bank_files', 'bank_payout_parts'] loop
        execute format('create trigger %I before delete on %I for each row execute function refuse_change()',
            name || '_no_delete', name);
        execute format('create trigger %I before truncate on %I for each statement execute function refuse_change()',
            name || '_no_truncate', name);
    end loop;
end $$;
-- Sealed anew when the encryption key is exchanged; nothing else of them changes.
grant update (sealed, key_version) on seller_bank_details, own_bank_accounts, bank_files to partita_app;
grant update (undone) on bank_payout_parts to partita_app;
grant update (amount), delete on bank_payables to partita_app;

create function bank_payout_parts_undo_once() returns trigger language plpgsql as $$
begin
    if old.undone and not new.undone then
        raise exception 'what came back of a payout is paid by another one'
            using constraint = 'bank_payout_parts_undone_once', errcode = '23514';
    end if;
    return new;
end $$;
comment on function bank_payout_parts_undo_once() is 'Lets a part be undone, and nothing else.';
create trigger bank_payout_parts_undo_once before update on bank_payout_parts
    for each row execute function bank_payout_parts_undo_once();

insert into ledger_transaction_kinds (code, name, description) values
    (36, 'bank_payout_asked', 'A payout by bank file took of what a seller has of a payment or an adjustment.'),
    (37, 'bank_payout_paid', 'The platform''s bank paid it.'),
    (38, 'bank_payout_returned', 'The seller''s bank sent it back after it was paid.'),
    (39, 'bank_payout_ended', 'It was given up, or the bank refused it: nothing was paid.');

insert into state_changes_allowed (object_type, from_state, to_state) values
    ('own_bank_account', '', 'declared'),
    ('bank_file', '', 'created');

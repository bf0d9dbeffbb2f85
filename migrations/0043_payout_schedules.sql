-- Payouts that are asked by us: by schedules of sellers, and by hand.
--
-- A release of before cannot read a payout that the provider has not answered yet, nor does its worker look at schedules. Give
-- sellers schedules, and ask for payouts by hand, once every process knows them.
--
-- Locks, until the commit: ACCESS EXCLUSIVE on payouts, of which no row is read; its indexes are in 0044. Payouts of before are
-- not looked at by the new constraints: they are mirrored from the provider and have all that these ask for.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- payouts

alter table payouts
    alter column provider_payout drop not null,
    alter column arrival_on drop not null,
    add column reference text,
    add column metadata jsonb not null default '{}',
    add column created_by text not null default 'system',
    drop constraint payouts_status_known,
    add constraint payouts_status_known
        check (status in ('processing', 'pending', 'in_transit', 'paid', 'failed', 'canceled')) not valid,
    add constraint payouts_known_at_provider
        check (provider_payout is not null and arrival_on is not null or status in ('processing', 'failed')) not valid;
comment on table payouts is
    'A seller''s payout to its bank: asked by us, or mirrored from the provider. paid is not final: a bank may return it.';
comment on column payouts.status is
    'processing: asked, no definite answer; pending: it left the balance; in_transit; paid; failed: it came back, or was refused; canceled.';
comment on column payouts.reference is 'The platform''s own id of a payout by hand.';
comment on column payouts.provider_payout is 'Its id at the provider; none until the provider has answered, and on refused ones.';
comment on column payouts.created_by is 'Who asked; system: a schedule, ours or the provider''s.';

grant update (provider_payout, arrival_on) on payouts to partita_app;
grant update (payout_interval) on sellers to partita_app;

-- ---------------------------------------------------------------------------------------------- schedules

create table payout_schedules (
    book_id integer not null,
    seller_id uuid not null,
    version integer not null,
    rhythm text not null,
    weekdays smallint[] not null default '{}',
    month_days smallint[] not null default '{}',
    delay_days smallint not null,
    cut_off time not null,
    time_zone text not null,
    minimums jsonb not null default '{}',
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, seller_id, version),
    constraint payout_schedules_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint payout_schedules_version_counts check (version > 0),
    constraint payout_schedules_rhythm_known check (rhythm in ('daily', 'weekly', 'monthly', 'manual')),
    constraint payout_schedules_weekdays_when_weekly check (
        (rhythm = 'weekly') = (cardinality(weekdays) > 0) and weekdays <@ array[1, 2, 3, 4, 5, 6, 7]::smallint[]),
    constraint payout_schedules_month_days_when_monthly check (
        (rhythm = 'monthly') = (cardinality(month_days) > 0)
        and 1 <= all (month_days) and 31 >= all (month_days) and cardinality(month_days) <= 31),
    constraint payout_schedules_delay_in_range check (delay_days between 0 and 90),
    constraint payout_schedules_cut_off_is_a_minute check (extract(second from cut_off) = 0 and cut_off < '24:00'),
    constraint payout_schedules_minimums_by_currency check (jsonb_typeof(minimums) = 'object')
);
comment on table payout_schedules is
    'When a seller is paid out; the newest version holds. None: as the provider does it (sellers.payout_interval).';
comment on column payout_schedules.weekdays is '1 Monday to 7 Sunday.';
comment on column payout_schedules.month_days is '1 to 31; what a month does not have is its last day.';
comment on column payout_schedules.delay_days is 'Money that came onto the account within so many days before the cut-off stays.';
comment on column payout_schedules.cut_off is 'When the payouts of a day are made, in the time zone.';
comment on column payout_schedules.time_zone is 'IANA name.';
comment on column payout_schedules.minimums is 'Currency to minor units: less is not paid out but kept for the next time.';

create table bank_holidays (
    book_id integer not null,
    country char(2) not null,
    version integer not null,
    days date[] not null,
    created_by text not null,
    created_at timestamptz not null,
    primary key (book_id, country, version),
    constraint bank_holidays_version_counts check (version > 0),
    constraint bank_holidays_country_form check (country ~ '^[A-Z]{2}$'),
    constraint bank_holidays_not_too_many check (cardinality(days) <= 1000)
);
comment on table bank_holidays is
    'Days on which sellers of a country are not paid out by schedule; the newest version holds. Saturdays and Sundays never count.';

create table payout_days (
    book_id integer not null,
    seller_id uuid not null,
    currency char(3) not null,
    payout_on date not null,
    outcome text not null,
    reason text,
    at_provider bigint not null,
    too_late bigint not null,
    going_out bigint not null,
    going_back bigint not null,
    owed bigint not null,
    payout_id uuid,
    created_at timestamptz not null,
    primary key (book_id, seller_id, currency, payout_on),
    constraint payout_days_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint payout_days_payout foreign key (book_id, payout_id) references payouts (book_id, id),
    constraint payout_days_payout_unique unique (book_id, payout_id),
    constraint payout_days_outcome_known check (outcome in ('asked', 'skipped')),
    constraint payout_days_asked_is_a_payout check ((outcome = 'asked') = (payout_id is not null)),
    constraint payout_days_skipped_says_why check ((outcome = 'skipped') = (reason is not null)),
    constraint payout_days_parts_positive check (too_late >= 0 and going_out >= 0 and going_back >= 0 and owed >= 0),
    constraint payout_days_asked_is_covered
        check (outcome = 'skipped' or at_provider - too_late - going_out - going_back > 0 and owed = 0)
);
comment on table payout_days is 'What became of a payout day of a seller''s schedule: one payout at most, or why none.';
comment on column payout_days.payout_on is 'The day in the schedule''s time zone.';
comment on column payout_days.at_provider is 'What was usable on the account then; minor units, as all of these.';
comment on column payout_days.too_late is 'Of that, what came after the day''s cut-off less the delay.';
comment on column payout_days.going_out is 'Payouts that were asked and not answered.';
comment on column payout_days.going_back is 'Transfers that were asked back and not answered.';
comment on column payout_days.owed is 'What the seller owed the platform.';

-- ---------------------------------------------------------------------------------------------- tenancy and append-only

do $$
declare
    name text;
begin
    foreach name in array array['payout_schedules', 'bank_holidays', 'payout_days'] loop
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

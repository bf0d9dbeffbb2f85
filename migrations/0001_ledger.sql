-- The ledger: double entry on Postgres. docs/ledger.md explains tables, constraints and the write path.
--
-- Invariants that this file keeps:
--   * a posting is one row with both sides, so no transaction can be unbalanced or cross a book or a currency;
--   * transactions, postings and refusals are append-only, by grant and by trigger;
--   * every row belongs to one book and row-level security is forced, for the owner of the tables too;
--   * rows of a lane are numbered without a gap and chained by sha256, so that any change of the past shows.

set local lock_timeout = '2s';

-- Keys ---------------------------------------------------------------------------------------------------------------

create table ledger_transaction_kinds (
    code        smallint not null,
    name        text     not null,
    description text     not null,
    constraint ledger_transaction_kinds_pkey primary key (code),
    constraint ledger_transaction_kinds_name_once unique (name),
    constraint ledger_transaction_kinds_code_positive check (code > 0)
);
comment on table ledger_transaction_kinds is
    'What the kinds of ledger transactions are called: for views and people. One list for all books; filled by migrations of the service, never at run time.';
comment on column ledger_transaction_kinds.code is 'ledger_transactions.kind';
comment on column ledger_transaction_kinds.name is 'Past tense, as charge.succeeded';

create table ledger_books (
    book_id   integer     not null,
    opened_at timestamptz not null default clock_timestamp(),
    constraint ledger_books_pkey primary key (book_id),
    constraint ledger_books_id_fits_key check (book_id between 1 and 1048575)
);
comment on table ledger_books is
    'A set of accounts that balances by itself: one platform in one mode (test or live). Nothing ever crosses books.';
comment on column ledger_books.opened_at is 'Database time';
comment on constraint ledger_books_id_fits_key on ledger_books is 'Twenty bits of an account key hold the book';

create table ledger_lanes (
    book_id     integer  not null,
    lane        smallint not null,
    seq         bigint   not null default 0,
    open_period integer  not null default 0,
    head        bytea    not null default '\x0000000000000000000000000000000000000000000000000000000000000000',
    constraint ledger_lanes_pkey primary key (book_id, lane),
    constraint ledger_lanes_book_fkey foreign key (book_id) references ledger_books (book_id),
    constraint ledger_lanes_lane_range check (lane between 1 and 1024),
    constraint ledger_lanes_seq_not_negative check (seq >= 0),
    constraint ledger_lanes_head_is_sha256 check (octet_length(head) = 32)
) with (fillfactor = 50);
comment on table ledger_lanes is
    'Lanes of a book: a call of ledger_post holds one until its transaction ends. Decisions of a lane are numbered without a gap and chained; (lane, seq) is a position, and the vector of all lanes follows commit order.';
comment on column ledger_lanes.lane is 'From 1; also the stripe of striped accounts that calls on this lane add to';
comment on column ledger_lanes.seq is 'Number of the last decision (transaction or refusal) of this lane';
comment on column ledger_lanes.open_period is
    'First accounting period that still takes transactions, year * 100 + month; 0: all. A transaction of an earlier month is posted into this one. Closing a period updates all lanes of the book, so it waits for the calls that are under way';
comment on column ledger_lanes.head is 'sha256 over the previous head and the last call''s rows; 32 zero bytes at the start';

create table ledger_accounts (
    book_id     integer     not null,
    account     bigint      not null,
    path        text        not null,
    normal_side smallint    not null,
    class       smallint    not null,
    floor       bigint,
    opened_at   timestamptz not null default clock_timestamp(),
    currency    smallint    not null generated always as ((account >> 33) & 1023) stored,
    constraint ledger_accounts_pkey primary key (book_id, account),
    constraint ledger_accounts_path_once unique (book_id, path, currency),
    constraint ledger_accounts_book_fkey foreign key (book_id) references ledger_books (book_id),
    constraint ledger_accounts_key_in_book check (account > 0 and account >> 43 = book_id),
    constraint ledger_accounts_path_shape check (path ~ '^[a-z0-9_]+(\.[A-Za-z0-9_]+)*$' and length(path) <= 200),
    constraint ledger_accounts_normal_side_known check (normal_side in (1, 2)),
    constraint ledger_accounts_class_known check (class in (1, 2, 3)),
    constraint ledger_accounts_floor_iff_floored check ((class = 1) = (floor is not null))
);
comment on table ledger_accounts is 'Named buckets of one currency. Never changed after they are opened.';
comment on column ledger_accounts.account is
    'Key made by the caller: book (20 bits), ISO 4217 number of the currency (10 bits), number (33 bits)';
comment on column ledger_accounts.path is 'Name for people, as sel.slr_x.available; one per book and currency';
comment on column ledger_accounts.normal_side is '1 debit (assets, expenses), 2 credit (liabilities, revenue)';
comment on column ledger_accounts.class is
    '1 floored: one balance row, debits that respect the floor are checked; 2 single: one balance row, unchecked; 3 striped: a balance row per lane, unchecked';
comment on column ledger_accounts.floor is 'Minor units; the least balance, by normal side, that a checked transaction may leave';
comment on column ledger_accounts.currency is 'ISO 4217 number, from the key';
comment on constraint ledger_accounts_key_in_book on ledger_accounts is 'The bits of the key that hold the book agree with the book';

-- Balances -----------------------------------------------------------------------------------------------------------

create table ledger_balances (
    book_id         integer  not null,
    stripe          smallint not null,
    normal_side     smallint not null,
    account         bigint   not null,
    debits          bigint   not null default 0,
    credits         bigint   not null default 0,
    floor           bigint,
    checked_balance bigint,
    constraint ledger_balances_pkey primary key (book_id, account, stripe),
    constraint ledger_balances_sums_in_range check (debits >= 0 and credits >= 0),
    constraint ledger_balances_floor_respected check (checked_balance >= floor)
) with (fillfactor = 50);
comment on table ledger_balances is
    'Sums of the postings of each account, kept by ledger_post in the same transaction: one row (stripe 0) for floored and single accounts, one per lane that ever touched it for striped ones. The balance is the sum over the rows, exact. No foreign key to ledger_accounts: it would cost every posting; verify checks.';
comment on column ledger_balances.stripe is '0: the account''s only row; otherwise the lane';
comment on column ledger_balances.normal_side is 'Copy of ledger_accounts.normal_side, so that a call reads one table';
comment on column ledger_balances.debits is 'Minor units, sum of all postings that debit the account (on this lane, if striped)';
comment on column ledger_balances.credits is 'Minor units, sum of all postings that credit the account (on this lane, if striped)';
comment on column ledger_balances.floor is 'Copy of ledger_accounts.floor; null: not checked';
comment on column ledger_balances.checked_balance is
    'Balance by normal side right after the last transaction that was checked against the floor and lowered it; null: none yet';
comment on constraint ledger_balances_floor_respected on ledger_balances is
    'Behind the function: no checked transaction ever left less than the floor. Not on the balance itself: refunds and disputes may lawfully pass the floor';

create table ledger_balance_days (
    book_id   integer  not null,
    lane      smallint not null,
    day       date     not null,
    account   bigint   not null,
    debits    numeric  not null,
    credits   numeric  not null,
    first_seq bigint   not null,
    last_seq  bigint   not null,
    constraint ledger_balance_days_pkey primary key (book_id, account, day, lane),
    constraint ledger_balance_days_seqs_in_order check (first_seq <= last_seq)
);
comment on table ledger_balance_days is
    'Sums of the postings of an account by the UTC day of effective_at and by lane, up to ledger_day_positions. A worker keeps them; a balance in the past is the days before it plus a tail of rows.';
comment on column ledger_balance_days.day is 'UTC day of the transactions'' effective_at';
comment on column ledger_balance_days.first_seq is 'First position of the lane that is in the sums';
comment on column ledger_balance_days.last_seq is 'Last position of the lane that is in the sums';

create table ledger_day_positions (
    book_id integer  not null,
    lane    smallint not null,
    seq     bigint   not null default 0,
    constraint ledger_day_positions_pkey primary key (book_id, lane),
    constraint ledger_day_positions_seq_not_negative check (seq >= 0)
) with (fillfactor = 50);
comment on table ledger_day_positions is 'Up to where ledger_balance_days has been kept, by lane.';
comment on column ledger_day_positions.seq is 'Every transaction of the lane up to this one is in the day sums, none after it';

-- What happened --------------------------------------------------------------------------------------------------------

create table ledger_transactions (
    book_id      integer     not null,
    lane         smallint    not null,
    kind         smallint    not null,
    seq          bigint      not null,
    id           bigint      not null,
    source       bigint      not null,
    actor        bigint      not null,
    effective_at timestamptz not null,
    recorded_at  timestamptz not null,
    period       integer     not null,
    in_call      smallint    not null,
    postings     smallint    not null,
    passes_floor boolean     not null,
    reverses     bigint,
    constraint ledger_transactions_pkey primary key (book_id, lane, seq),
    constraint ledger_transactions_id_once unique (book_id, id),
    constraint ledger_transactions_source_once unique (book_id, kind, source),
    constraint ledger_transactions_has_postings check (postings > 0)
);
create unique index ledger_transactions_reversed_once on ledger_transactions (book_id, reverses) where reverses is not null;
comment on table ledger_transactions is
    'Atomic sets of postings. Append-only. No foreign keys: the posting function writes parent and children in one statement sequence, and verify checks them.';
comment on column ledger_transactions.kind is 'ledger_transaction_kinds.code';
comment on column ledger_transactions.seq is 'Position on the lane; transactions and refusals of a lane share one gapless count';
comment on column ledger_transactions.id is 'Made by the caller';
comment on column ledger_transactions.source is 'What caused it (an operation''s generation, a provider''s object); one transaction per kind and source';
comment on column ledger_transactions.actor is 'Who did it';
comment on column ledger_transactions.effective_at is 'Business time';
comment on column ledger_transactions.recorded_at is 'Database time of the call; never falls on a lane while the server''s clock does not';
comment on column ledger_transactions.period is
    'Accounting period, year * 100 + month: the UTC month of effective_at, or the lane''s open_period if that is later';
comment on column ledger_transactions.in_call is 'Ordinal among the rows of its call, from 0; a chain link covers one call';
comment on column ledger_transactions.postings is 'Number of its postings';
comment on column ledger_transactions.passes_floor is 'True: not checked against floors (refunds, disputes, reversals)';
comment on column ledger_transactions.reverses is 'Id of the transaction that this one reverses as a whole';
comment on constraint ledger_transactions_source_once on ledger_transactions is 'One source, one transaction: what makes replays converge';
comment on index ledger_transactions_reversed_once is 'A transaction is reversed at most once';

create table ledger_postings (
    book_id        integer  not null,
    lane           smallint not null,
    ordinal        smallint not null,
    seq            bigint   not null,
    debit_account  bigint   not null,
    credit_account bigint   not null,
    amount         bigint   not null,
    subject        bigint   not null,
    constraint ledger_postings_pkey primary key (book_id, lane, seq, ordinal),
    constraint ledger_postings_amount_positive check (amount > 0),
    constraint ledger_postings_sides_differ check (debit_account <> credit_account),
    constraint ledger_postings_one_book_one_currency check (debit_account >> 33 = credit_account >> 33),
    constraint ledger_postings_key_in_book check (debit_account >> 43 = book_id)
);
create index ledger_postings_subject on ledger_postings (book_id, subject);
comment on table ledger_postings is
    'One row moves an amount from the credit account to the debit account, so it cannot be unbalanced. Append-only.';
comment on column ledger_postings.ordinal is 'Place in its transaction, from 1';
comment on column ledger_postings.seq is 'With book and lane: the transaction';
comment on column ledger_postings.amount is 'Minor units of the currency in the account keys';
comment on column ledger_postings.subject is 'The payment, operation or payout that the posting belongs to';
comment on constraint ledger_postings_one_book_one_currency on ledger_postings is 'The upper 30 bits of an account key are book and currency';
comment on constraint ledger_postings_key_in_book on ledger_postings is 'The upper 20 bits of an account key are the book';

create table ledger_refusals (
    book_id      integer     not null,
    lane         smallint    not null,
    kind         smallint    not null,
    seq          bigint      not null,
    id           bigint      not null,
    source       bigint      not null,
    actor        bigint      not null,
    effective_at timestamptz not null,
    recorded_at  timestamptz not null,
    in_call      smallint    not null,
    reason       smallint    not null,
    reference    bigint,
    needed       bigint,
    available    bigint,
    constraint ledger_refusals_pkey primary key (book_id, lane, seq),
    constraint ledger_refusals_reason_known check (reason between 2 and 6)
);
comment on table ledger_refusals is
    'What the ledger was asked to post and refused, as far as the caller committed it. Append-only, in the same count and chain as transactions.';
comment on column ledger_refusals.id is 'Id the transaction would have had; it may be used again';
comment on column ledger_refusals.reason is
    '2 insufficient funds; 3 unknown account; 4 same source with other content; 5 a sum would pass 2^62; 6 already reversed';
comment on column ledger_refusals.reference is 'Reasons 2, 3, 5: the account. 4: the transaction with this source. 6: the reversing transaction';
comment on column ledger_refusals.needed is 'Reason 2: minor units the transaction would have taken, net';
comment on column ledger_refusals.available is 'Reason 2: minor units above the floor; negative below it';

create view ledger_entries with (security_invoker = true) as
select p.book_id, p.lane, p.seq, p.ordinal, t.id as transaction_id, t.kind, t.effective_at, t.recorded_at, t.period,
       e.account, e.side, p.amount, p.subject
from ledger_postings p
join ledger_transactions t on t.book_id = p.book_id and t.lane = p.lane and t.seq = p.seq
cross join lateral (values (p.debit_account, 1::smallint), (p.credit_account, 2::smallint)) e (account, side);
comment on view ledger_entries is 'Both legs of every posting, for people and exports. side: 1 debit, 2 credit';

-- Append-only ------------------------------------------------------------------------------------------------------------

create function ledger_refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;
comment on function ledger_refuse_change is 'Trigger of append-only tables; behind the grants, so that the owner is stopped too';

create trigger ledger_transactions_append_only before update or delete on ledger_transactions
    for each row execute function ledger_refuse_change();
create trigger ledger_transactions_no_truncate before truncate on ledger_transactions
    for each statement execute function ledger_refuse_change();
create trigger ledger_postings_append_only before update or delete on ledger_postings
    for each row execute function ledger_refuse_change();
create trigger ledger_postings_no_truncate before truncate on ledger_postings
    for each statement execute function ledger_refuse_change();
create trigger ledger_refusals_append_only before update or delete on ledger_refusals
    for each row execute function ledger_refuse_change();
create trigger ledger_refusals_no_truncate before truncate on ledger_refusals
    for each statement execute function ledger_refuse_change();
create trigger ledger_accounts_append_only before update or delete on ledger_accounts
    for each row execute function ledger_refuse_change();
create trigger ledger_accounts_no_truncate before truncate on ledger_accounts
    for each statement execute function ledger_refuse_change();

-- Tenancy ----------------------------------------------------------------------------------------------------------------

do $$
declare
    name text;
begin
    foreach name in array array['ledger_books', 'ledger_lanes', 'ledger_accounts', 'ledger_balances', 'ledger_balance_days',
                                'ledger_day_positions', 'ledger_transactions', 'ledger_postings', 'ledger_refusals'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        -- The sub-select makes it one evaluation per statement. An unset book is an error, not an empty answer.
        execute format('create policy %I on %I using (book_id = (select current_setting(''partita.book'')::int))',
                       name || '_of_book', name);
        execute format('grant select on %I to partita_app', name);
    end loop;
end
$$;

grant select on ledger_transaction_kinds, ledger_entries to partita_app;
grant insert on ledger_books, ledger_lanes, ledger_accounts, ledger_balances, ledger_balance_days, ledger_day_positions,
    ledger_transactions, ledger_postings, ledger_refusals to partita_app;
grant update (seq, head) on ledger_lanes to partita_app;
grant update (debits, credits, checked_balance) on ledger_balances to partita_app;
grant update (debits, credits, last_seq) on ledger_balance_days to partita_app;
grant update (seq) on ledger_day_positions to partita_app;

-- Opening ----------------------------------------------------------------------------------------------------------------

create function ledger_open_accounts(
    p_book int, a_account bigint[], a_path text[], a_normal_side smallint[], a_class smallint[], a_floor bigint[]
) returns bigint language plpgsql as $$
begin
    insert into ledger_accounts (book_id, account, path, normal_side, class, floor)
    select p_book, a.account, a.path, a.normal_side, a.class, a.floor
    from unnest(a_account, a_path, a_normal_side, a_class, a_floor) a (account, path, normal_side, class, floor)
    order by a.account
    on conflict do nothing;

    insert into ledger_balances (book_id, stripe, normal_side, account, floor)
    select p_book, 0, a.normal_side, a.account, a.floor
    from ledger_accounts a
    where a.book_id = p_book and a.account = any (a_account) and a.class <> 3
    order by a.account
    on conflict do nothing;

    return (
        select min(n.account)
        from unnest(a_account, a_path, a_normal_side, a_class, a_floor) n (account, path, normal_side, class, floor)
        where not exists (
            select from ledger_accounts a
            where a.book_id = p_book and a.account = n.account and a.path = n.path and a.normal_side = n.normal_side
              and a.class = n.class and a.floor is not distinct from n.floor
        )
    );
end
$$;
comment on function ledger_open_accounts is
    'Opens the accounts that are not open yet. Returns the first one that differs from what is there, or null';

-- Posting ----------------------------------------------------------------------------------------------------------------

create aggregate ledger_sum(bigint) (sfunc = int8pl, stype = bigint, initcond = '0');
comment on aggregate ledger_sum(bigint) is 'Sum that stays a bigint; an overflow is an error';

-- Decides item by item, in slice order, what is posted, replayed or refused, against rows that ledger_post has locked.
-- Only called when a call is not plain: something is replayed, reversed, unknown, too large or short of funds.
create function ledger_decide(
    p_book int, t_id bigint[], t_kind smallint[], t_source bigint[], t_pass boolean[], t_reverses bigint[],
    p_item int[], p_debit bigint[], p_credit bigint[], p_amount bigint[], p_subject bigint[],
    p_lane smallint, r_account bigint[],
    out d_outcome smallint[], out d_reference bigint[], out d_needed bigint[], out d_available bigint[],
    out d_lane smallint[], out d_seq bigint[],
    out d_account bigint[], out d_debits bigint[], out d_credits bigint[], out d_checked bigint[]
) language plpgsql as $$
declare
    c_most       constant numeric := 4611686018427387903;
    v_items      constant int := cardinality(t_id);
    v_floor      bigint[];
    v_side       smallint[];
    l_item       int[];
    l_account    bigint[];
    l_debits     numeric[];
    l_credits    numeric[];
    l_row        int[];
    v_content    text[];
    v_group      int[];
    v_undo_group int[];
    e_id         bigint[];
    e_lane       smallint[];
    e_seq        bigint[];
    e_content    text[];
    e_undone_by  bigint[];
    v_accepted   int[] := array_fill(null::int, array[v_items]);
    v_undone     int[] := array_fill(null::int, array[v_items]);
    v_leg        int := 1;
    v_from       int;
    v_to         int;
    v_row        int;
    v_net        numeric;
    v_before     numeric;
    v_same       boolean;
begin
    d_outcome := array_fill(0::smallint, array[v_items]);
    d_reference := array_fill(null::bigint, array[v_items]);
    d_needed := d_reference;
    d_available := d_reference;
    d_seq := d_reference;
    d_lane := array_fill(null::smallint, array[v_items]);

    select array_agg(b.account order by b.account), array_agg(b.debits order by b.account),
           array_agg(b.credits order by b.account),
           array_agg(b.floor order by b.account), array_agg(b.normal_side order by b.account),
           array_agg(b.checked_balance order by b.account)
    into d_account, d_debits, d_credits, v_floor, v_side, d_checked
    from ledger_balances b
    where b.book_id = p_book and b.account = any (r_account) and (b.stripe = 0 or b.stripe = p_lane);

    select array_agg(n.item order by n.item, n.account), array_agg(n.account order by n.item, n.account),
           array_agg(n.debits order by n.item, n.account), array_agg(n.credits order by n.item, n.account),
           array_agg(r.r order by n.item, n.account)
    into l_item, l_account, l_debits, l_credits, l_row
    from (
        select l.item, l.account, sum(l.debit) as debits, sum(l.credit) as credits
        from (
            select p_item[i] as item, p_debit[i] as account, p_amount[i] as debit, 0 as credit
            from generate_subscripts(p_item, 1) i
            union all
            select p_item[i], p_credit[i], 0, p_amount[i]
            from generate_subscripts(p_item, 1) i
        ) l
        group by l.item, l.account
    ) n
    left join (select a.r, d_account[a.r] as account from generate_subscripts(d_account, 1) a (r)) r on r.account = n.account;

    -- Content is what is posted and undone, whatever the order of the postings. Times, ids and actors may differ.
    select array_agg(c.content order by c.item)
    into v_content
    from (
        select p_item[i] as item,
               concat(t_reverses[p_item[i]], ':',
                      string_agg(concat_ws(',', p_debit[i], p_credit[i], p_amount[i], p_subject[i]), ';'
                                 order by p_debit[i], p_credit[i], p_amount[i], p_subject[i])) as content
        from generate_subscripts(p_item, 1) i
        group by p_item[i]
    ) c;

    select array_agg(x.same_source order by x.i), array_agg(x.same_original order by x.i)
    into v_group, v_undo_group
    from (
        select i, min(i) over (partition by t_kind[i], t_source[i]) as same_source,
               min(i) over (partition by t_reverses[i]) as same_original
        from generate_series(1, v_items) i
    ) x;

    select array_agg(t.id order by i), array_agg(t.lane order by i), array_agg(t.seq order by i),
           array_agg(concat(t.reverses, ':', p.content) order by i), array_agg(u.id order by i)
    into e_id, e_lane, e_seq, e_content, e_undone_by
    from generate_series(1, v_items) i
    left join ledger_transactions t on t.book_id = p_book and t.kind = t_kind[i] and t.source = t_source[i]
    left join ledger_transactions u on u.book_id = p_book and u.reverses = t_reverses[i]
    left join lateral (
        select string_agg(concat_ws(',', p.debit_account, p.credit_account, p.amount, p.subject), ';'
                          order by p.debit_account, p.credit_account, p.amount, p.subject) as content
        from ledger_postings p
        where p.book_id = p_book and p.lane = t.lane and p.seq = t.seq
    ) p on true;

    for i in 1 .. v_items loop
        v_from := v_leg;
        while l_item[v_leg] = i loop
            v_leg := v_leg + 1;
        end loop;
        v_to := v_leg - 1;

        -- A source that is there already: a replay, or a conflict if the content differs.
        v_same := null;
        if e_id[i] is not null then
            v_same := e_content[i] = v_content[i];
            d_reference[i] := e_id[i];
            d_lane[i] := e_lane[i];
            d_seq[i] := e_seq[i];
        elsif v_accepted[v_group[i]] is not null then
            v_same := v_content[v_accepted[v_group[i]]] = v_content[i];
            d_reference[i] := t_id[v_accepted[v_group[i]]];
            d_seq[i] := v_accepted[v_group[i]]; -- no lane: an item of this call, which ledger_post numbers
        end if;
        if v_same is not null then
            d_outcome[i] := case when v_same then 1 else 4 end;
            continue;
        end if;

        for m in v_from .. v_to loop
            if l_row[m] is null then
                d_outcome[i] := 3;
                d_reference[i] := l_account[m];
                exit;
            end if;
        end loop;
        continue when d_outcome[i] <> 0;

        if t_reverses[i] is not null
           and (e_undone_by[i] is not null or v_undone[v_undo_group[i]] is not null) then
            d_outcome[i] := 6;
            d_reference[i] := coalesce(e_undone_by[i], t_id[v_undone[v_undo_group[i]]]);
            continue;
        end if;

        for m in v_from .. v_to loop
            v_row := l_row[m];
            if d_debits[v_row] + l_debits[m] > c_most or d_credits[v_row] + l_credits[m] > c_most then
                d_outcome[i] := 5;
                d_reference[i] := l_account[m];
                exit;
            end if;
        end loop;
        continue when d_outcome[i] <> 0;

        if not t_pass[i] then
            for m in v_from .. v_to loop
                v_row := l_row[m];
                continue when v_floor[v_row] is null;
                v_net := (l_credits[m] - l_debits[m]) * case v_side[v_row] when 2 then 1 else -1 end;
                v_before := (d_credits[v_row]::numeric - d_debits[v_row]) * case v_side[v_row] when 2 then 1 else -1 end;
                if v_net < 0 and v_before + v_net < v_floor[v_row] then
                    d_outcome[i] := 2;
                    d_reference[i] := l_account[m];
                    d_needed[i] := -v_net;
                    d_available[i] := greatest(least(v_before - v_floor[v_row], 2 * c_most + 1), -2 * c_most - 1);
                    exit;
                end if;
            end loop;
            continue when d_outcome[i] <> 0;
        end if;

        for m in v_from .. v_to loop
            v_row := l_row[m];
            d_debits[v_row] := d_debits[v_row] + l_debits[m];
            d_credits[v_row] := d_credits[v_row] + l_credits[m];
            v_net := (l_credits[m] - l_debits[m]) * case v_side[v_row] when 2 then 1 else -1 end;
            if v_floor[v_row] is not null and not t_pass[i] and v_net < 0 then
                d_checked[v_row] := (d_credits[v_row] - d_debits[v_row]) * case v_side[v_row] when 2 then 1 else -1 end;
            end if;
        end loop;
        v_accepted[v_group[i]] := i;
        if t_reverses[i] is not null then
            v_undone[v_undo_group[i]] := i;
        end if;
    end loop;
end
$$;
comment on function ledger_decide is 'The careful path of ledger_post; see docs/ledger.md';

-- The accounting period of each transaction: its month, or the first open one if that is later.
create function ledger_periods(p_open int, t_effective timestamptz[]) returns int[] language plpgsql as $$
declare
    v_first timestamp;
    v_last  timestamp;
begin
    select min(e) at time zone 'UTC', max(e) at time zone 'UTC' into v_first, v_last from unnest(t_effective) e;
    if date_trunc('month', v_first) = date_trunc('month', v_last) then
        return array_fill(
            greatest(p_open, (extract(year from v_first) * 100 + extract(month from v_first))::int),
            array[cardinality(t_effective)]
        );
    end if;
    return array(
        select greatest(p_open, (extract(year from u.at) * 100 + extract(month from u.at))::int)
        from (select t_effective[i] at time zone 'UTC' as at from generate_subscripts(t_effective, 1) i order by i) u
    );
end
$$;
comment on function ledger_periods is 'A step of ledger_post';

-- Tests the floors of all floored accounts that the call takes from, transaction by transaction in slice order, by prefix
-- sums over rows that have the whole call added already. If none is passed, notes the balance after each account's last
-- tested transaction and returns true; else returns false.
create function ledger_check_floors(
    p_book int, t_pass boolean[], p_item int[], p_debit bigint[], p_credit bigint[], p_amount bigint[],
    r_account bigint[], r_debits bigint[], r_credits bigint[]
) returns boolean language plpgsql as $$
declare
    v_account bigint[];
    v_after   bigint[];
    v_short   boolean;
begin
    with floored as materialized (
        select b.account,
               b.floor,
               case b.normal_side when 2 then 1 else -1 end as sign,
               (b.credits - r_credits[width_bucket(b.account, r_account)])
                   - (b.debits - r_debits[width_bucket(b.account, r_account)]) as credit_balance
        from ledger_balances b
        where b.book_id = p_book and b.account = any (r_account) and b.stripe = 0 and b.floor is not null
    ), net as (
        select l.account, l.item, ledger_sum(l.net) as net
        from (
            select f.account, p_item[i] as item, -f.sign * p_amount[i] as net
            from generate_subscripts(p_item, 1) i
            join floored f on f.account = p_debit[i]
            union all
            select f.account, p_item[i], f.sign * p_amount[i]
            from generate_subscripts(p_item, 1) i
            join floored f on f.account = p_credit[i]
        ) l
        group by l.account, l.item
    ), running as (
        select n.account, n.item, n.net, sum(n.net) over (partition by n.account order by n.item) as moved from net n
    ), tested as (
        select r.account, r.item, f.sign * f.credit_balance + r.moved as after, f.floor
        from running r
        join floored f on f.account = r.account
        where r.net < 0 and not t_pass[r.item]
    ), last as (
        select distinct on (t.account) t.account, t.after,
               bool_or(t.after < t.floor) over (partition by t.account) as short
        from tested t
        order by t.account, t.item desc
    )
    select coalesce(array_agg(l.account order by l.account), '{}'),
           coalesce(array_agg(l.after::bigint order by l.account) filter (where not l.short), '{}'),
           coalesce(bool_or(l.short), false)
    into v_account, v_after, v_short
    from last l;
    if v_short then
        return false;
    end if;

    update ledger_balances b
    set checked_balance = v_after[width_bucket(b.account, v_account)]
    where b.book_id = p_book and b.account = any (v_account) and b.stripe = 0;
    return true;
end
$$;
comment on function ledger_check_floors is 'A step of ledger_post';

-- Writes transactions and their postings. False if a source is there already: then some rows are not written.
create function ledger_write(
    p_book int, p_lane smallint, p_seq bigint, p_now timestamptz, p_period int[], p_offset int[],
    t_id bigint[], t_kind smallint[], t_source bigint[], t_actor bigint[], t_effective timestamptz[], t_pass boolean[],
    t_reverses bigint[], t_postings smallint[],
    p_item int[], p_ordinal smallint[], p_debit bigint[], p_credit bigint[], p_amount bigint[], p_subject bigint[]
) returns boolean language plpgsql as $$
declare
    v_rows bigint;
begin
    insert into ledger_transactions (book_id, lane, kind, seq, id, source, actor, effective_at, recorded_at, period,
                                     in_call, postings, passes_floor, reverses)
    select p_book, p_lane, t_kind[i], p_seq + coalesce(p_offset[i], i), t_id[i], t_source[i], t_actor[i],
           t_effective[i], p_now, p_period[i], coalesce(p_offset[i], i) - 1, t_postings[i], t_pass[i], t_reverses[i]
    from generate_series(1, cardinality(t_id)) i
    on conflict (book_id, kind, source) do nothing;
    get diagnostics v_rows = row_count;
    if v_rows <> cardinality(t_id) then
        return false;
    end if;
    insert into ledger_postings (book_id, lane, ordinal, seq, debit_account, credit_account, amount, subject)
    select p_book, p_lane, p_ordinal[i], p_seq + p_item[i], p_debit[i], p_credit[i], p_amount[i], p_subject[i]
    from generate_series(1, cardinality(p_item)) i;
    return true;
end
$$;
comment on function ledger_write is 'A step of ledger_post';

-- Adds what the whole call moves to the balance rows, in order of account; this locks them. False if that is not plain:
-- an account is unknown, a sum too large, a floor passed.
create function ledger_add(
    p_book int, p_lane smallint, t_pass boolean[], p_item int[], p_debit bigint[], p_credit bigint[], p_amount bigint[]
) returns boolean language plpgsql as $$
declare
    c_most     constant bigint := 4611686018427387903; -- 2^62 - 1: the most a row's debits or credits may come to
    v_postings constant int := cardinality(p_item);
    v_account  bigint[];
    v_debits   bigint[];
    v_credits  bigint[];
    v_found    bigint;
    v_rows     bigint;
    v_large    boolean;
    v_check    boolean;
begin
    if (select max(a) from unnest(p_amount) a) > c_most / v_postings then
        return false;
    end if;
    select array_agg(d.account), array_agg(d.debits), array_agg(d.credits)
    into v_account, v_debits, v_credits
    from (
        select l.account, ledger_sum(l.debit) as debits, ledger_sum(l.credit) as credits
        from (
            select p_debit[i] as account, p_amount[i] as debit, 0::bigint as credit from generate_series(1, v_postings) i
            union all
            select p_credit[i], 0, p_amount[i] from generate_series(1, v_postings) i
        ) l
        group by l.account
        order by l.account
    ) d;

    -- width_bucket finds an account's place in the sorted array.
    with updated as (
        update ledger_balances b
        set debits = b.debits + v_debits[width_bucket(b.account, v_account)],
            credits = b.credits + v_credits[width_bucket(b.account, v_account)]
        where b.book_id = p_book and b.account = any (v_account) and (b.stripe = 0 or b.stripe = p_lane)
        returning b.account, b.debits, b.credits, b.floor, b.normal_side
    )
    select count(*),
           bool_or(u.debits > c_most or u.credits > c_most),
           bool_or(u.floor is not null and case u.normal_side
                       when 2 then v_debits[width_bucket(u.account, v_account)]
                       else v_credits[width_bucket(u.account, v_account)]
                   end > 0)
    into v_found, v_large, v_check
    from updated u;
    if v_large then
        return false;
    end if;
    if v_found < cardinality(v_account) then
        -- Striped accounts that this lane touches for the first time; what is missing then is unknown.
        insert into ledger_balances (book_id, stripe, normal_side, account, debits, credits)
        select p_book, p_lane, a.normal_side, a.account,
               v_debits[width_bucket(a.account, v_account)], v_credits[width_bucket(a.account, v_account)]
        from ledger_accounts a
        where a.book_id = p_book and a.account = any (v_account) and a.class = 3
          and (select b.account from ledger_balances b
               where b.book_id = p_book and b.account = a.account and b.stripe = p_lane) is null;
        get diagnostics v_rows = row_count;
        if v_found + v_rows < cardinality(v_account) then
            return false;
        end if;
    end if;
    return not v_check
        or ledger_check_floors(p_book, t_pass, p_item, p_debit, p_credit, p_amount, v_account, v_debits, v_credits);
end
$$;
comment on function ledger_add is 'A step of ledger_post';

-- Posts a slice of transactions and says for each what became of it. Plain statements in sequence, each with the book in
-- its condition. Locks, in this order: originals of reversals (advisory), one lane, source keys, balance rows by account.
--
-- First as if all of it were plain: rows, which nobody waits for, then balances, which others may wait for. If it is not,
-- that is undone (it is a sub-transaction) and ledger_decide goes through the slice item by item.
--
-- The settings pin the plans: every table is reached through the index of its key, one look per account or source, and
-- balance rows are therefore updated, and locked, in order of account. A plan made while a book was small stays right.
create function ledger_post(
    p_book int,
    t_id bigint[], t_kind smallint[], t_source bigint[], t_actor bigint[], t_effective timestamptz[], t_pass boolean[],
    t_reverses bigint[], t_postings smallint[],
    p_item int[], p_ordinal smallint[], p_debit bigint[], p_credit bigint[], p_amount bigint[], p_subject bigint[],
    p_careful boolean,
    out o_lane smallint, out o_seq bigint, out o_outcome smallint[], out o_seqs bigint[], out o_lanes smallint[],
    out o_reference bigint[], out o_needed bigint[], out o_available bigint[]
) language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
    v_now      timestamptz;
    v_head     bytea;
    v_open     int;
    v_items    int := cardinality(t_id);
    v_stored   int := cardinality(t_id);
    v_account  bigint[];
    v_debits   bigint[];
    v_credits  bigint[];
    v_checked  bigint[];
    v_period   int[];
    v_offset   int[];
    v_refused  int[];
    v_link     bytea;
    v_decision record;
begin
    p_careful := p_careful or t_reverses is not null;
    if t_reverses is not null then
        perform pg_advisory_xact_lock(hashtextextended(format('ledger reversal %s %s', p_book, o.original), 0))
        from (select distinct x as original from unnest(t_reverses) x where x is not null order by x) o;
    end if;

    -- A free lane, or wait for one.
    select l.lane, l.seq, l.head, l.open_period
    into o_lane, o_seq, v_head, v_open
    from ledger_lanes l
    where l.book_id = p_book
    order by l.lane
    limit 1
    for no key update skip locked;
    if not found then
        select l.lane, l.seq, l.head, l.open_period
        into o_lane, o_seq, v_head, v_open
        from ledger_lanes l
        where l.book_id = p_book
          and l.lane = (
              select 1 + pg_backend_pid() % nullif(count(*), 0) from ledger_lanes c where c.book_id = p_book
          )
        for no key update;
        if not found then
            raise exception 'book % is not open', p_book using errcode = 'no_data_found';
        end if;
    end if;
    v_now := clock_timestamp();

    if not p_careful then
        v_period := ledger_periods(v_open, t_effective);
        begin
            if not ledger_write(p_book, o_lane, o_seq, v_now, v_period, null, t_id, t_kind, t_source, t_actor,
                                t_effective, t_pass, null, t_postings, p_item, p_ordinal, p_debit, p_credit, p_amount,
                                p_subject)
               or not ledger_add(p_book, o_lane, t_pass, p_item, p_debit, p_credit, p_amount) then
                raise exception 'not plain' using errcode = 'PT001';
            end if;
        exception when sqlstate 'PT001' then
            p_careful := true;
        end;
    end if;

    if p_careful then
        select array_agg(k.account)
        into v_account
        from (select distinct a as account from unnest(p_debit || p_credit) a order by a) k;
        insert into ledger_balances (book_id, stripe, normal_side, account)
        select p_book, o_lane, a.normal_side, a.account
        from ledger_accounts a
        where a.book_id = p_book and a.account = any (v_account) and a.class = 3
          and (select b.account from ledger_balances b
               where b.book_id = p_book and b.account = a.account and b.stripe = o_lane) is null;
        perform
        from ledger_balances b
        where b.book_id = p_book and b.account = any (v_account) and (b.stripe = 0 or b.stripe = o_lane)
        order by b.account
        for no key update;

        v_decision := ledger_decide(p_book, t_id, t_kind, t_source, t_pass, t_reverses, p_item, p_debit, p_credit,
                                    p_amount, p_subject, o_lane, v_account);
        v_account := v_decision.d_account;
        v_debits := v_decision.d_debits;
        v_credits := v_decision.d_credits;
        v_checked := v_decision.d_checked;
        update ledger_balances b
        set debits = v_debits[width_bucket(b.account, v_account)],
            credits = v_credits[width_bucket(b.account, v_account)],
            checked_balance = v_checked[width_bucket(b.account, v_account)]
        where b.book_id = p_book and b.account = any (v_account) and (b.stripe = 0 or b.stripe = o_lane);

        -- Posted and refused items are numbered in slice order; replayed ones name the first one's position.
        o_outcome := v_decision.d_outcome;
        o_reference := v_decision.d_reference;
        o_needed := v_decision.d_needed;
        o_available := v_decision.d_available;
        select array_agg(x.place order by x.i)
        into v_offset
        from (
            select i, (count(*) filter (where o_outcome[i] <> 1) over (order by i))::int as place
            from generate_series(1, v_items) i
        ) x;
        v_stored := v_offset[v_items];
        select array_agg(case when o_outcome[i] <> 1 then o_seq + v_offset[i]
                              when v_decision.d_lane[i] is null then o_seq + v_offset[v_decision.d_seq[i]::int]
                              else v_decision.d_seq[i] end order by i),
               array_agg(case when o_outcome[i] = 1 then coalesce(v_decision.d_lane[i], o_lane) else o_lane end
                         order by i),
               array_agg(i order by i) filter (where o_outcome[i] > 1)
        into o_seqs, o_lanes, v_refused
        from generate_series(1, v_items) i;

        if v_refused is not null then
            insert into ledger_refusals (book_id, lane, kind, seq, id, source, actor, effective_at, recorded_at, in_call,
                                         reason, reference, needed, available)
            select p_book, o_lane, t_kind[i], o_seqs[i], t_id[i], t_source[i], t_actor[i], t_effective[i], v_now,
                   v_offset[i] - 1, o_outcome[i], o_reference[i], o_needed[i], o_available[i]
            from unnest(v_refused) i;

            select array_send(array_agg((v_offset[i] - 1)::smallint order by i)) || array_send(array_agg(t_id[i] order by i))
                   || array_send(array_agg(t_kind[i] order by i)) || array_send(array_agg(t_source[i] order by i))
                   || array_send(array_agg(t_actor[i] order by i)) || array_send(array_agg(t_effective[i] order by i))
                   || array_send(array_agg(o_outcome[i] order by i)) || array_send(array_agg(o_reference[i] order by i))
                   || array_send(array_agg(o_needed[i] order by i)) || array_send(array_agg(o_available[i] order by i))
            into v_link
            from unnest(v_refused) i;
        end if;

        -- From here on only what is posted; the items of a call keep their places.
        select array_agg(p_ordinal[i] order by i), array_agg(p_debit[i] order by i), array_agg(p_credit[i] order by i),
               array_agg(p_amount[i] order by i), array_agg(p_subject[i] order by i),
               array_agg(v_offset[p_item[i]] order by i)
        into p_ordinal, p_debit, p_credit, p_amount, p_subject, p_item
        from generate_subscripts(p_item, 1) i
        where o_outcome[p_item[i]] = 0;
        select array_agg(t_id[i] order by i), array_agg(t_kind[i] order by i), array_agg(t_source[i] order by i),
               array_agg(t_actor[i] order by i), array_agg(t_effective[i] order by i), array_agg(t_pass[i] order by i),
               case when bool_or(t_reverses[i] is not null) then array_agg(t_reverses[i] order by i) end,
               array_agg(t_postings[i] order by i), array_agg(v_offset[i] order by i)
        into t_id, t_kind, t_source, t_actor, t_effective, t_pass, t_reverses, t_postings, v_offset
        from generate_series(1, v_items) i
        where o_outcome[i] = 0;
        v_items := coalesce(cardinality(t_id), 0);
        if v_items > 0 then
            v_period := ledger_periods(v_open, t_effective);
            if not ledger_write(p_book, o_lane, o_seq, v_now, v_period, v_offset, t_id, t_kind, t_source, t_actor,
                                t_effective, t_pass, t_reverses, t_postings, p_item, p_ordinal, p_debit, p_credit,
                                p_amount, p_subject) then
                raise exception 'another transaction posted one of these sources meanwhile'
                    using errcode = 'serialization_failure';
            end if;
        end if;
    end if;

    if v_stored > 0 then
        update ledger_lanes l
        set seq = o_seq + v_stored,
            head = sha256(
                v_head || int2send(o_lane) || int8send(o_seq + 1) || timestamptz_send(v_now) || int4send(v_items)
                || case when v_items = 0 then ''::bytea else
                       array_send(t_id) || array_send(t_kind) || array_send(t_source) || array_send(t_actor)
                       || array_send(t_effective) || array_send(v_period) || array_send(t_pass)
                       || coalesce(array_send(t_reverses), '') || array_send(t_postings)
                       || array_send(p_debit) || array_send(p_credit) || array_send(p_amount) || array_send(p_subject)
                   end
                || coalesce(v_link, ''))
        where l.book_id = p_book and l.lane = o_lane;
    end if;
end
$$;
comment on function ledger_post is
    'The only writer of transactions, postings, refusals and balances. o_outcome is null when every item is posted, as o_seq + its place; else per item 0 posted, 1 replayed (reference: the first one''s id), 2 .. 6 as ledger_refusals.reason';

-- What the chain of hashes costs inside ledger_post: whole calls, and the last statement of a call with and without its hash,
-- in turns in one session.
--
--   createdb chain; psql -1 -d chain -f migrations/0001_ledger.sql -f migrations/0004_ledger_holds.sql    # role partita_app exists
--   psql -d chain -f ledger/benches/chain.sql
--
-- Times by the server's clock, without round trip, commit and sync, which come on top of a call in either case. The fastest
-- twentieth is compared, as other work on the machine makes a statement slower, never faster. The book is useless
-- afterwards: its lane is updated without its rows.

\set ON_ERROR_STOP on
set client_min_messages = warning;
set partita.book = '1';

-- A book with a provider, a fee account and 10,000 sellers, EUR; keys as docs/ledger.md has them.
create or replace function pg_temp.key(number bigint) returns bigint language sql immutable as $$
    select (1::bigint << 43) | (978::bigint << 33) | number
$$;
insert into ledger_books (book_id) values (1) on conflict do nothing;
insert into ledger_lanes (book_id, lane) values (1, 1) on conflict do nothing;
select count(*) as accounts from ledger_open_accounts(1,
    (select array_agg(pg_temp.key(n) order by n) from generate_series(0, 10001) n),
    (select array_agg('account.' || n order by n) from generate_series(0, 10001) n),
    (select array_agg(case n when 0 then 1 else 2 end::smallint order by n) from generate_series(0, 10001) n),
    (select array_agg(case when n < 2 then 3 else 1 end::smallint order by n) from generate_series(0, 10001) n),
    (select array_agg(case when n < 2 then null else 0 end::bigint order by n) from generate_series(0, 10001) n));
vacuum analyze;

create temporary table times (what text, batch int, us double precision);

create or replace procedure pg_temp.measure(p_batch int, p_calls int) language plpgsql as $$
declare
    t_one     smallint[] := array_fill(1::smallint, array[p_batch]);
    t_actor   bigint[] := array_fill(1::bigint, array[p_batch]);
    t_at      timestamptz[] := array_fill('2026-11-03 12:00+00'::timestamptz, array[p_batch]);
    t_pass    boolean[] := array_fill(false, array[p_batch]);
    t_four    smallint[] := array_fill(4::smallint, array[p_batch]);
    v_period  int[] := array_fill(202611, array[p_batch]);
    v_now     timestamptz := now();
    v_link    bytea;
    t_reverses bigint[];
    t_id      bigint[];
    p_item    int[];
    p_ordinal smallint[];
    p_debit   bigint[];
    p_credit  bigint[];
    p_amount  bigint[];
    p_subject bigint[];
    began     timestamptz;
begin
    for round in 1 .. p_calls loop
        select array_agg(coalesce((select max(id) from ledger_transactions), 0) + n)
        into t_id
        from generate_series(1, p_batch) n;
        select array_agg(i order by i, o), array_agg(o::smallint order by i, o), array_agg(pg_temp.key(0) order by i, o),
               array_agg(pg_temp.key(case o when 4 then 1 else 2 + floor(random() * 10000)::bigint end) order by i, o),
               array_agg((100 + random() * 9900)::bigint order by i, o), array_agg(t_id[i] order by i, o)
        into p_item, p_ordinal, p_debit, p_credit, p_amount, p_subject
        from generate_series(1, p_batch) i, generate_series(1, 4) o;

        began := clock_timestamp();
        perform ledger_post(1, t_id, t_one, t_id, t_actor, t_at, t_pass, null, t_four,
                            p_item, p_ordinal, p_debit, p_credit, p_amount, p_subject, false);
        insert into times values ('call', p_batch, 1000000 * extract(epoch from clock_timestamp() - began));

        -- The last statement of ledger_post, as it is.
        began := clock_timestamp();
        update ledger_lanes l
        set seq = l.seq,
            head = sha256(
                l.head || int2send(l.lane) || int8send(l.seq + 1) || timestamptz_send(v_now) || int4send(p_batch)
                || case when p_batch = 0 then ''::bytea else
                       array_send(t_id) || array_send(t_one) || array_send(t_id) || array_send(t_actor)
                       || array_send(t_at) || array_send(v_period) || array_send(t_pass)
                       || coalesce(array_send(t_reverses), '') || array_send(t_four)
                       || array_send(p_debit) || array_send(p_credit) || array_send(p_amount) || array_send(p_subject)
                   end
                || coalesce(v_link, ''))
        where l.book_id = 1 and l.lane = 1;
        insert into times values ('with hash', p_batch, 1000000 * extract(epoch from clock_timestamp() - began));

        began := clock_timestamp();
        update ledger_lanes l set seq = l.seq, head = l.head where l.book_id = 1 and l.lane = 1;
        insert into times values ('without', p_batch, 1000000 * extract(epoch from clock_timestamp() - began));
        -- A call of the service is a transaction of its own.
        commit;
    end loop;
end $$;

call pg_temp.measure(1, 4000);
call pg_temp.measure(64, 600);
call pg_temp.measure(256, 150);

select batch,
       count(*) / 3 as calls,
       round(call) as "call, us",
       round(hashed - plain) as "its hash, us",
       round(100 * (hashed - plain) / call, 1) as "of it, %"
from (
    select batch, us from times
) t
join lateral (
    select max(p) filter (where what = 'call') as call,
           max(p) filter (where what = 'with hash') as hashed,
           max(p) filter (where what = 'without') as plain
    from (
        select what, percentile_cont(0.05) within group (order by us)::numeric as p
        from times x
        where x.batch = t.batch
        group by what
    ) x
) p on true
group by batch, call, hashed, plain
order by batch;

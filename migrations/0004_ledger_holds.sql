-- Holds, anchors and verified positions of the ledger. docs/ledger.md explains them.
--
-- Invariants that this file adds to those of 0001:
--   * what is held on an account counts against its floor for every transaction that respects it;
--   * a hold, a release and the capture of a hold are decisions of a lane like a transaction: append-only, numbered, chained;
--   * what a hold has left is its amount less its captures and its release, never below zero.

set local lock_timeout = '2s';

-- Holds --------------------------------------------------------------------------------------------------------------

alter table ledger_balances add column held bigint not null default 0;
alter table ledger_balances add constraint ledger_balances_held_not_negative check (held >= 0);
comment on column ledger_balances.held is
    'Minor units, sum of what the open holds of the account have left; counts against the floor. Zero where there is no floor';
comment on column ledger_balances.checked_balance is
    'Balance by normal side, less what is held, right after the last transaction or hold that was checked against the floor and lowered it; null: none yet';
grant update (held) on ledger_balances to partita_app;

create table ledger_holds (
    book_id      integer     not null,
    lane         smallint    not null,
    kind         smallint    not null,
    seq          bigint      not null,
    id           bigint      not null,
    source       bigint      not null,
    actor        bigint      not null,
    account      bigint      not null,
    amount       bigint      not null,
    subject      bigint      not null,
    effective_at timestamptz not null,
    recorded_at  timestamptz not null,
    expires_at   timestamptz,
    in_call      smallint    not null,
    in_use       boolean     not null,
    remaining    bigint      not null,
    constraint ledger_holds_pkey primary key (book_id, lane, seq),
    constraint ledger_holds_id_once unique (book_id, id),
    constraint ledger_holds_source_once unique (book_id, kind, source),
    constraint ledger_holds_amount_positive check (amount > 0),
    constraint ledger_holds_remaining_in_range check (remaining between 0 and amount),
    constraint ledger_holds_account_in_book check (account >> 43 = book_id)
) with (fillfactor = 70);
create index ledger_holds_account on ledger_holds (book_id, account);
create index ledger_holds_due on ledger_holds (book_id, expires_at) where remaining > 0 and not in_use;
comment on table ledger_holds is
    'Money of a floored account that is reserved for a purpose: money that will leave it. Append-only but for remaining and in_use.';
comment on column ledger_holds.kind is 'What it is for: ledger_transaction_kinds.code';
comment on column ledger_holds.seq is 'Position on the lane; transactions, refusals, holds and releases of a lane share one gapless count';
comment on column ledger_holds.id is 'Made by the caller';
comment on column ledger_holds.source is 'What caused it; one hold per kind and source';
comment on column ledger_holds.actor is 'Who did it';
comment on column ledger_holds.account is 'A floored account; the hold stands against the side that lowers it';
comment on column ledger_holds.amount is 'Minor units, when it was placed';
comment on column ledger_holds.subject is 'The payment, operation or payout that it belongs to';
comment on column ledger_holds.effective_at is 'Business time';
comment on column ledger_holds.recorded_at is 'Database time of the call';
comment on column ledger_holds.expires_at is 'Business time from which ledger_release_holds may release it as expired; null: never';
comment on column ledger_holds.in_call is 'Ordinal among the rows of its call, from 0';
comment on column ledger_holds.in_use is 'Set by the caller while something hangs on it that must not lose it (an operation towards a provider): it does not expire meanwhile. Not history, and not in the chain';
comment on column ledger_holds.remaining is 'Minor units: amount less its captures and its release; verify recomputes it. Zero: closed';
comment on constraint ledger_holds_source_once on ledger_holds is 'One source, one hold: what makes replays converge';
comment on index ledger_holds_due is 'What may expire';

create table ledger_hold_captures (
    book_id integer  not null,
    lane    smallint not null,
    seq     bigint   not null,
    hold    bigint   not null,
    amount  bigint   not null,
    constraint ledger_hold_captures_pkey primary key (book_id, lane, seq),
    constraint ledger_hold_captures_amount_positive check (amount > 0)
);
create index ledger_hold_captures_hold on ledger_hold_captures (book_id, hold);
comment on table ledger_hold_captures is 'Which transactions captured a hold, in part or whole. Append-only.';
comment on column ledger_hold_captures.seq is 'With book and lane: the transaction';
comment on column ledger_hold_captures.hold is 'ledger_holds.id';
comment on column ledger_hold_captures.amount is 'Minor units: what the transaction takes from the held account, net';

create table ledger_hold_releases (
    book_id      integer     not null,
    lane         smallint    not null,
    reason       smallint    not null,
    seq          bigint      not null,
    hold         bigint      not null,
    actor        bigint      not null,
    amount       bigint      not null,
    effective_at timestamptz not null,
    recorded_at  timestamptz not null,
    in_call      smallint    not null,
    constraint ledger_hold_releases_pkey primary key (book_id, lane, seq),
    constraint ledger_hold_releases_hold_once unique (book_id, hold),
    constraint ledger_hold_releases_reason_known check (reason in (1, 2)),
    constraint ledger_hold_releases_amount_positive check (amount > 0)
);
comment on table ledger_hold_releases is 'What was left of a hold and given back to its account. Append-only.';
comment on column ledger_hold_releases.reason is '1 voided, 2 expired';
comment on column ledger_hold_releases.seq is 'Position on the lane';
comment on column ledger_hold_releases.hold is 'ledger_holds.id';
comment on column ledger_hold_releases.actor is 'Who did it';
comment on column ledger_hold_releases.amount is 'Minor units that were left';
comment on column ledger_hold_releases.effective_at is 'Business time';
comment on column ledger_hold_releases.recorded_at is 'Database time of the call';
comment on column ledger_hold_releases.in_call is 'Ordinal among the rows of its call, from 0';
comment on constraint ledger_hold_releases_hold_once on ledger_hold_releases is 'A hold is released at most once, as a whole';

alter table ledger_refusals drop constraint ledger_refusals_reason_known;
alter table ledger_refusals add constraint ledger_refusals_reason_known check (reason between 2 and 10);
comment on column ledger_refusals.reason is
    '2 insufficient funds; 3 unknown account; 4 same source with other content; 5 a sum would pass 2^62; 6 already reversed; 7 unknown hold; 8 the hold has less left; 9 the transaction takes nothing from the held account; 10 the account has no floor';
comment on column ledger_refusals.reference is
    'Reasons 2, 3, 5, 10: the account. 4: the transaction or hold with this source. 6: the reversing transaction. 7, 8, 9: the hold';
comment on column ledger_refusals.needed is 'Reasons 2, 8: minor units it would have taken, net';
comment on column ledger_refusals.available is 'Reason 2: minor units above the floor and what is held; negative below it. 8: what the hold has left';

-- Anchors and verified positions ---------------------------------------------------------------------------------------

create table ledger_anchors (
    book_id  integer     not null,
    number   bigint      not null,
    taken_at timestamptz not null,
    lanes    smallint[]  not null,
    seqs     bigint[]    not null,
    heads    bytea[]     not null,
    previous bytea       not null,
    digest   bytea       not null,
    constraint ledger_anchors_pkey primary key (book_id, number),
    constraint ledger_anchors_number_positive check (number > 0),
    constraint ledger_anchors_one_of_each check (cardinality(lanes) = cardinality(seqs) and cardinality(seqs) = cardinality(heads)),
    constraint ledger_anchors_digests_are_sha256 check (octet_length(previous) = 32 and octet_length(digest) = 32)
);
comment on table ledger_anchors is
    'Where all lanes of a book stood at a time, with their heads. Append-only; what protects the past is the exported copy (docs/ledger.md).';
comment on column ledger_anchors.number is 'From 1, without gaps';
comment on column ledger_anchors.taken_at is 'Database time at which the lanes were read';
comment on column ledger_anchors.lanes is 'In ascending order';
comment on column ledger_anchors.seqs is 'The last position of each lane';
comment on column ledger_anchors.heads is 'The head of each lane';
comment on column ledger_anchors.previous is 'digest of the anchor before; 32 zero bytes for the first';
comment on column ledger_anchors.digest is 'sha256 over all other columns in the form of docs/ledger.md';

create table ledger_verified_positions (
    book_id     integer     not null,
    lane        smallint    not null,
    seq         bigint      not null,
    head        bytea       not null,
    verified_at timestamptz not null,
    constraint ledger_verified_positions_pkey primary key (book_id, lane),
    constraint ledger_verified_positions_seq_not_negative check (seq >= 0),
    constraint ledger_verified_positions_head_is_sha256 check (octet_length(head) = 32)
) with (fillfactor = 50);
comment on table ledger_verified_positions is
    'Up to where each lane was verified: incremental verification goes on from here. A complete one does not read it.';
comment on column ledger_verified_positions.seq is 'Everything of the lane up to this position was recomputed and found right';
comment on column ledger_verified_positions.head is 'The head that its rows gave there';
comment on column ledger_verified_positions.verified_at is 'Database time at which that was noted';

-- Append-only and tenancy ----------------------------------------------------------------------------------------------

create function ledger_refuse_other_hold() returns trigger language plpgsql as $$
begin
    if tg_op <> 'UPDATE' or (old.book_id, old.lane, old.kind, old.seq, old.id, old.source, old.actor, old.account,
                             old.amount, old.subject, old.effective_at, old.recorded_at, old.expires_at, old.in_call)
                            is distinct from
                            (new.book_id, new.lane, new.kind, new.seq, new.id, new.source, new.actor, new.account,
                             new.amount, new.subject, new.effective_at, new.recorded_at, new.expires_at, new.in_call) then
        raise exception 'ledger_holds is append-only but for what is left and in use' using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;
comment on function ledger_refuse_other_hold is 'Trigger of ledger_holds: what was asked for never changes';

create trigger ledger_holds_append_only before update or delete on ledger_holds
    for each row execute function ledger_refuse_other_hold();
create trigger ledger_holds_no_truncate before truncate on ledger_holds
    for each statement execute function ledger_refuse_change();

do $$
declare
    name text;
begin
    foreach name in array array['ledger_hold_captures', 'ledger_hold_releases', 'ledger_anchors'] loop
        execute format('create trigger %I before update or delete on %I for each row execute function ledger_refuse_change()',
                       name || '_append_only', name);
        execute format('create trigger %I before truncate on %I for each statement execute function ledger_refuse_change()',
                       name || '_no_truncate', name);
    end loop;
    foreach name in array array['ledger_holds', 'ledger_hold_captures', 'ledger_hold_releases', 'ledger_anchors',
                                'ledger_verified_positions'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format('create policy %I on %I using (book_id = (select current_setting(''partita.book'')::int))',
                       name || '_of_book', name);
        execute format('grant select, insert on %I to partita_app', name);
    end loop;
end
$$;

grant update (remaining, in_use) on ledger_holds to partita_app;
grant update (seq, head, verified_at) on ledger_verified_positions to partita_app;

-- Lanes ----------------------------------------------------------------------------------------------------------------

create function ledger_take_lane(
    p_book int, out o_lane smallint, out o_seq bigint, out o_head bytea, out o_open int
) language plpgsql as $$
begin
    -- A free lane, or wait for one.
    select l.lane, l.seq, l.head, l.open_period
    into o_lane, o_seq, o_head, o_open
    from ledger_lanes l
    where l.book_id = p_book
    order by l.lane
    limit 1
    for no key update skip locked;
    if not found then
        select l.lane, l.seq, l.head, l.open_period
        into o_lane, o_seq, o_head, o_open
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
end
$$;
comment on function ledger_take_lane is 'The first step of whatever is decided: locks a lane of the book until the transaction ends';

-- Holds: placing and releasing -----------------------------------------------------------------------------------------

-- Places a slice of holds, in its order, and says for each what became of it. Locks, in this order: sources (advisory),
-- one lane, balance rows by account.
create function ledger_place_holds(
    p_book int, h_id bigint[], h_kind smallint[], h_source bigint[], h_actor bigint[], h_effective timestamptz[],
    h_account bigint[], h_amount bigint[], h_subject bigint[], h_expires timestamptz[], h_in_use boolean[],
    out o_outcome smallint[], out o_seqs bigint[], out o_lanes smallint[],
    out o_reference bigint[], out o_needed bigint[], out o_available bigint[]
) language plpgsql as $$
declare
    c_most     constant bigint := 4611686018427387903; -- 2^62 - 1: the most that can be held on an account
    v_items    constant int := cardinality(h_id);
    v_lane     record;
    v_now      timestamptz;
    v_seq      bigint;
    v_account  bigint[];
    v_balance  numeric[];
    v_held     bigint[];
    v_floor    bigint[];
    v_changed  bigint[] := '{}';
    v_row      int;
    v_first    record;
    v_placed   int[] := '{}';
    v_refused  int[] := '{}';
    v_in_call  smallint[] := array_fill(null::smallint, array[v_items]);
    v_link     bytea := '';
begin
    o_outcome := array_fill(0::smallint, array[v_items]);
    o_seqs := array_fill(null::bigint, array[v_items]);
    o_lanes := array_fill(null::smallint, array[v_items]);
    o_reference := o_seqs;
    o_needed := o_seqs;
    o_available := o_seqs;
    perform pg_advisory_xact_lock(hashtextextended(format('ledger hold %s %s %s', p_book, s.kind, s.source), 0))
    from (
        select distinct h_kind[i] as kind, h_source[i] as source from generate_series(1, v_items) i order by kind, source
    ) s;
    v_lane := ledger_take_lane(p_book);
    v_seq := v_lane.o_seq;
    v_now := clock_timestamp();

    select array_agg(l.account), array_agg(l.balance), array_agg(l.held), array_agg(l.floor)
    into v_account, v_balance, v_held, v_floor
    from (
        select b.account, (b.credits::numeric - b.debits) * case b.normal_side when 2 then 1 else -1 end as balance,
               b.held, b.floor
        from ledger_balances b
        where b.book_id = p_book and b.account = any (h_account) and b.stripe = 0
        order by b.account
        for no key update
    ) l;

    for i in 1 .. v_items loop
        select h.id, h.lane, h.seq,
               (h.account, h.amount, h.subject, h.expires_at)
                   is not distinct from (h_account[i], h_amount[i], h_subject[i], h_expires[i]) as same
        into v_first
        from ledger_holds h
        where h.book_id = p_book and h.kind = h_kind[i] and h.source = h_source[i];
        if found and v_first.same then
            o_outcome[i] := 1;
            o_reference[i] := v_first.id;
            o_lanes[i] := v_first.lane;
            o_seqs[i] := v_first.seq;
            continue;
        end if;
        v_row := array_position(v_account, h_account[i]);
        if v_first.id is not null then
            o_outcome[i] := 4;
            o_reference[i] := v_first.id;
        elsif v_floor[v_row] is null then
            o_outcome[i] := case when exists (
                                select from ledger_accounts a where a.book_id = p_book and a.account = h_account[i]
                            ) then 10 else 3 end;
            o_reference[i] := h_account[i];
        elsif v_held[v_row]::numeric + h_amount[i] > c_most then
            o_outcome[i] := 5;
            o_reference[i] := h_account[i];
        elsif v_balance[v_row] - v_held[v_row] - h_amount[i] < v_floor[v_row] then
            o_outcome[i] := 2;
            o_reference[i] := h_account[i];
            o_needed[i] := h_amount[i];
            o_available[i] := greatest(least(v_balance[v_row] - v_held[v_row] - v_floor[v_row], 2::numeric * c_most + 1),
                                       -2::numeric * c_most - 1);
        end if;
        v_in_call[i] := v_seq - v_lane.o_seq;
        v_seq := v_seq + 1;
        o_lanes[i] := v_lane.o_lane;
        o_seqs[i] := v_seq;
        if o_outcome[i] = 0 then
            v_placed := v_placed || i;
            v_held[v_row] := v_held[v_row] + h_amount[i];
            v_changed := v_changed || h_account[i];
            insert into ledger_holds (book_id, lane, kind, seq, id, source, actor, account, amount, subject, effective_at,
                                      recorded_at, expires_at, in_call, in_use, remaining)
            values (p_book, v_lane.o_lane, h_kind[i], v_seq, h_id[i], h_source[i], h_actor[i], h_account[i], h_amount[i],
                    h_subject[i], h_effective[i], v_now, h_expires[i], v_in_call[i], h_in_use[i], h_amount[i]);
        else
            v_refused := v_refused || i;
            insert into ledger_refusals (book_id, lane, kind, seq, id, source, actor, effective_at, recorded_at, in_call,
                                         reason, reference, needed, available)
            values (p_book, v_lane.o_lane, h_kind[i], v_seq, h_id[i], h_source[i], h_actor[i], h_effective[i], v_now,
                    v_in_call[i], o_outcome[i], o_reference[i], o_needed[i], o_available[i]);
        end if;
    end loop;
    if v_seq = v_lane.o_seq then
        return;
    end if;

    update ledger_balances b
    set held = v_held[array_position(v_account, b.account)],
        checked_balance = v_balance[array_position(v_account, b.account)] - v_held[array_position(v_account, b.account)]
    where b.book_id = p_book and b.account = any (v_changed) and b.stripe = 0;
    if v_refused <> '{}' then
        select array_send(array_agg(v_in_call[i] order by i)) || array_send(array_agg(h_id[i] order by i))
               || array_send(array_agg(h_kind[i] order by i)) || array_send(array_agg(h_source[i] order by i))
               || array_send(array_agg(h_actor[i] order by i)) || array_send(array_agg(h_effective[i] order by i))
               || array_send(array_agg(o_outcome[i] order by i)) || array_send(array_agg(o_reference[i] order by i))
               || array_send(array_agg(o_needed[i] order by i)) || array_send(array_agg(o_available[i] order by i))
        into v_link
        from unnest(v_refused) i;
    end if;
    if v_placed <> '{}' then
        select v_link || '\x48'::bytea
               || array_send(array_agg(v_in_call[i] order by i)) || array_send(array_agg(h_id[i] order by i))
               || array_send(array_agg(h_kind[i] order by i)) || array_send(array_agg(h_source[i] order by i))
               || array_send(array_agg(h_actor[i] order by i)) || array_send(array_agg(h_effective[i] order by i))
               || array_send(array_agg(h_account[i] order by i)) || array_send(array_agg(h_amount[i] order by i))
               || array_send(array_agg(h_subject[i] order by i)) || array_send(array_agg(h_expires[i] order by i))
        into v_link
        from unnest(v_placed) i;
    end if;
    update ledger_lanes l
    set seq = v_seq,
        head = sha256(v_lane.o_head || int2send(v_lane.o_lane) || int8send(v_lane.o_seq + 1) || timestamptz_send(v_now)
                      || int4send(0) || v_link)
    where l.book_id = p_book and l.lane = v_lane.o_lane;
end
$$;
comment on function ledger_place_holds is
    'The only writer of holds. Per item 0 placed, 1 replayed (reference: the first one''s id), 2 .. 10 as ledger_refusals.reason';

-- Gives back what these holds have left, as voided (1) or expired (2). What is closed already is left alone; so is, when
-- they expire, what is in use or not yet due at p_effective. Locks, in this order: one lane, holds by id, balance rows by account.
create function ledger_release_holds(
    p_book int, h_id bigint[], p_reason smallint, p_actor bigint, p_effective timestamptz,
    out o_lane smallint, out o_seq bigint, out o_hold bigint[], out o_amount bigint[]
) language plpgsql as $$
declare
    v_lane     record;
    v_now      timestamptz;
    v_account  bigint[];
    v_in_call  smallint[];
begin
    v_lane := ledger_take_lane(p_book);
    o_lane := v_lane.o_lane;
    o_seq := v_lane.o_seq;
    v_now := clock_timestamp();
    select coalesce(array_agg(h.id), '{}'), array_agg(h.account), array_agg(h.remaining)
    into o_hold, v_account, o_amount
    from (
        select r.id, r.account, r.remaining
        from ledger_holds r
        where r.book_id = p_book and r.id = any (h_id) and r.remaining > 0
          and (p_reason = 1 or not r.in_use and r.expires_at <= p_effective)
        order by r.id
        for no key update
    ) h;
    if o_hold = '{}' then
        return;
    end if;
    perform
    from ledger_balances b
    where b.book_id = p_book and b.account = any (v_account) and b.stripe = 0
    order by b.account
    for no key update;

    v_in_call := array(select (i - 1)::smallint from generate_subscripts(o_hold, 1) i order by i);
    update ledger_balances b
    set held = b.held - (
            select ledger_sum(o_amount[i]) from generate_subscripts(v_account, 1) i where v_account[i] = b.account
        )
    where b.book_id = p_book and b.account = any (v_account) and b.stripe = 0;
    update ledger_holds h set remaining = 0 where h.book_id = p_book and h.id = any (o_hold);
    insert into ledger_hold_releases (book_id, lane, reason, seq, hold, actor, amount, effective_at, recorded_at, in_call)
    select p_book, o_lane, p_reason, o_seq + i, o_hold[i], p_actor, o_amount[i], p_effective, v_now, v_in_call[i]
    from generate_subscripts(o_hold, 1) i;
    update ledger_lanes l
    set seq = o_seq + cardinality(o_hold),
        head = sha256(v_lane.o_head || int2send(o_lane) || int8send(o_seq + 1) || timestamptz_send(v_now) || int4send(0)
                      || '\x52'::bytea || array_send(v_in_call) || array_send(o_hold) || int2send(p_reason)
                      || int8send(p_actor) || timestamptz_send(p_effective) || array_send(o_amount))
    where l.book_id = p_book and l.lane = o_lane;
end
$$;
comment on function ledger_release_holds is
    'The only writer of releases. The holds released, in order of id and of position after o_seq, with what each had left';

-- Posting, now with holds ----------------------------------------------------------------------------------------------

-- An older release goes on calling ledger_post without captures; dropped and made anew, as the signature grows.
drop function ledger_post(int, bigint[], smallint[], bigint[], bigint[], timestamptz[], boolean[], bigint[], smallint[],
                          int[], smallint[], bigint[], bigint[], bigint[], bigint[], boolean);
drop function ledger_decide(int, bigint[], smallint[], bigint[], boolean[], bigint[], int[], bigint[], bigint[], bigint[],
                            bigint[], smallint, bigint[]);

-- Decides item by item, in slice order, what is posted, replayed or refused, against rows that ledger_post has locked.
-- Only called when a call is not plain: something is replayed, reversed, captured, unknown, too large or short of funds.
create function ledger_decide(
    p_book int, t_id bigint[], t_kind smallint[], t_source bigint[], t_pass boolean[], t_reverses bigint[],
    p_item int[], p_debit bigint[], p_credit bigint[], p_amount bigint[], p_subject bigint[],
    p_lane smallint, r_account bigint[], t_captures bigint[],
    out d_outcome smallint[], out d_reference bigint[], out d_needed bigint[], out d_available bigint[],
    out d_lane smallint[], out d_seq bigint[],
    out d_account bigint[], out d_debits bigint[], out d_credits bigint[], out d_checked bigint[], out d_held bigint[],
    out d_captured bigint[]
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
    h_id         bigint[];
    h_account    bigint[];
    h_remaining  bigint[];
    v_hold       int;
    v_held_row   int;
    v_captured   numeric;
begin
    d_outcome := array_fill(0::smallint, array[v_items]);
    d_reference := array_fill(null::bigint, array[v_items]);
    d_needed := d_reference;
    d_available := d_reference;
    d_seq := d_reference;
    d_lane := array_fill(null::smallint, array[v_items]);
    d_captured := d_reference;

    select array_agg(b.account order by b.account), array_agg(b.debits order by b.account),
           array_agg(b.credits order by b.account),
           array_agg(b.floor order by b.account), array_agg(b.normal_side order by b.account),
           array_agg(b.checked_balance order by b.account), array_agg(b.held order by b.account)
    into d_account, d_debits, d_credits, v_floor, v_side, d_checked, d_held
    from ledger_balances b
    where b.book_id = p_book and b.account = any (r_account) and (b.stripe = 0 or b.stripe = p_lane);

    if t_captures is not null then
        select array_agg(h.id), array_agg(h.account), array_agg(h.remaining)
        into h_id, h_account, h_remaining
        from ledger_holds h
        where h.book_id = p_book and h.id = any (t_captures);
    end if;

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

    -- Content is what is posted, undone and captured, whatever the order of the postings. Times, ids and actors may
    -- differ.
    select array_agg(c.content order by c.item)
    into v_content
    from (
        select p_item[i] as item,
               concat(t_reverses[p_item[i]], ':', t_captures[p_item[i]], ':',
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
           array_agg(concat(t.reverses, ':', c.hold, ':', p.content) order by i), array_agg(u.id order by i)
    into e_id, e_lane, e_seq, e_content, e_undone_by
    from generate_series(1, v_items) i
    left join ledger_transactions t on t.book_id = p_book and t.kind = t_kind[i] and t.source = t_source[i]
    left join ledger_transactions u on u.book_id = p_book and u.reverses = t_reverses[i]
    left join ledger_hold_captures c on c.book_id = p_book and c.lane = t.lane and c.seq = t.seq
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

        -- A capture takes from its hold what it takes from the held account, net.
        v_hold := null;
        v_held_row := null;
        if t_captures[i] is not null then
            v_hold := array_position(h_id, t_captures[i]);
            v_captured := 0;
            for m in v_from .. v_to loop
                if l_account[m] = h_account[v_hold] then
                    v_held_row := l_row[m];
                    v_captured := (l_debits[m] - l_credits[m]) * case v_side[v_held_row] when 2 then 1 else -1 end;
                end if;
            end loop;
            d_outcome[i] := case when v_hold is null then 7
                                 when v_captured <= 0 then 9
                                 when v_captured > h_remaining[v_hold] then 8
                                 else 0 end;
            if d_outcome[i] <> 0 then
                d_reference[i] := t_captures[i];
                if d_outcome[i] = 8 then
                    d_needed[i] := least(v_captured, 2 * c_most + 1);
                    d_available[i] := h_remaining[v_hold];
                end if;
                continue;
            end if;
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
                continue when v_floor[v_row] is null or v_row = v_held_row;
                v_net := (l_credits[m] - l_debits[m]) * case v_side[v_row] when 2 then 1 else -1 end;
                v_before := (d_credits[v_row]::numeric - d_debits[v_row]) * case v_side[v_row] when 2 then 1 else -1 end;
                if v_net < 0 and v_before + v_net - d_held[v_row] < v_floor[v_row] then
                    d_outcome[i] := 2;
                    d_reference[i] := l_account[m];
                    d_needed[i] := -v_net;
                    d_available[i] := greatest(least(v_before - d_held[v_row] - v_floor[v_row], 2 * c_most + 1),
                                                -2 * c_most - 1);
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
            if v_floor[v_row] is not null and not t_pass[i] and v_net < 0 and v_row is distinct from v_held_row then
                d_checked[v_row] := (d_credits[v_row] - d_debits[v_row]) * case v_side[v_row] when 2 then 1 else -1 end
                                    - d_held[v_row];
            end if;
        end loop;
        if v_hold is not null then
            d_captured[i] := v_captured;
            d_held[v_held_row] := d_held[v_held_row] - v_captured;
            h_remaining[v_hold] := h_remaining[v_hold] - v_captured;
        end if;
        v_accepted[v_group[i]] := i;
        if t_reverses[i] is not null then
            v_undone[v_undo_group[i]] := i;
        end if;
    end loop;
end
$$;
comment on function ledger_decide is 'The careful path of ledger_post; see docs/ledger.md';

-- Tests the floors of all floored accounts that the call takes from, transaction by transaction in slice order, by prefix
-- sums over rows that have the whole call added already. What is held counts against the floor. If none is passed, notes
-- what is available after each account's last tested transaction and returns true; else returns false.
create or replace function ledger_check_floors(
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
               b.floor + b.held as least,
               b.held,
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
        select r.account, r.item, f.sign * f.credit_balance + r.moved as after, f.least, f.held
        from running r
        join floored f on f.account = r.account
        where r.net < 0 and not t_pass[r.item]
    ), last as (
        select distinct on (t.account) t.account, t.after - t.held as after,
               bool_or(t.after < t.least) over (partition by t.account) as short
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

-- Posts a slice of transactions and says for each what became of it. Plain statements in sequence, each with the book in
-- its condition. Locks, in this order: originals of reversals (advisory), one lane, source keys, holds by id, balance rows
-- by account.
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
    p_careful boolean, t_captures bigint[] default null,
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
    v_held     bigint[];
    v_period   int[];
    v_offset   int[];
    v_refused  int[];
    v_link     bytea;
    v_captures bytea;
    v_decision record;
begin
    p_careful := p_careful or t_reverses is not null or t_captures is not null;
    if t_reverses is not null then
        perform pg_advisory_xact_lock(hashtextextended(format('ledger reversal %s %s', p_book, o.original), 0))
        from (select distinct x as original from unnest(t_reverses) x where x is not null order by x) o;
    end if;

    select l.o_lane, l.o_seq, l.o_head, l.o_open
    into o_lane, o_seq, v_head, v_open
    from ledger_take_lane(p_book) l;
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
        if t_captures is not null then
            perform
            from ledger_holds h
            where h.book_id = p_book and h.id = any (t_captures)
            order by h.id
            for no key update;
        end if;
        perform
        from ledger_balances b
        where b.book_id = p_book and b.account = any (v_account) and (b.stripe = 0 or b.stripe = o_lane)
        order by b.account
        for no key update;

        v_decision := ledger_decide(p_book, t_id, t_kind, t_source, t_pass, t_reverses, p_item, p_debit, p_credit,
                                    p_amount, p_subject, o_lane, v_account, t_captures);
        v_account := v_decision.d_account;
        v_debits := v_decision.d_debits;
        v_credits := v_decision.d_credits;
        v_checked := v_decision.d_checked;
        v_held := v_decision.d_held;
        update ledger_balances b
        set debits = v_debits[width_bucket(b.account, v_account)],
            credits = v_credits[width_bucket(b.account, v_account)],
            checked_balance = v_checked[width_bucket(b.account, v_account)],
            held = v_held[width_bucket(b.account, v_account)]
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

        if t_captures is not null then
            insert into ledger_hold_captures (book_id, lane, seq, hold, amount)
            select p_book, o_lane, o_seqs[i], t_captures[i], v_decision.d_captured[i]
            from generate_series(1, v_items) i
            where v_decision.d_captured[i] is not null;
            update ledger_holds h
            set remaining = h.remaining - c.amount
            from (
                select t_captures[i] as hold, ledger_sum(v_decision.d_captured[i]) as amount
                from generate_series(1, v_items) i
                where v_decision.d_captured[i] is not null
                group by t_captures[i]
            ) c
            where h.book_id = p_book and h.id = c.hold;
            select '\x43'::bytea || array_send(array_agg((v_offset[i] - 1)::smallint order by i))
                   || array_send(array_agg(t_captures[i] order by i))
                   || array_send(array_agg(v_decision.d_captured[i] order by i))
            into v_captures
            from generate_series(1, v_items) i
            where v_decision.d_captured[i] is not null;
            v_link := coalesce(v_link, '') || coalesce(v_captures, '');
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
    'The only writer of transactions, postings, captures and, with ledger_place_holds and ledger_release_holds, of balances and refusals. t_captures: per item the hold it captures, or null. o_outcome is null when every item is posted, as o_seq + its place; else per item 0 posted, 1 replayed (reference: the first one''s id), 2 .. 9 as ledger_refusals.reason';

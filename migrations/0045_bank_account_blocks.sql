-- Bank accounts that sent a payout back: nothing more goes there by schedule or by hand, until there is another one.
--
-- Locks, until the commit: ACCESS EXCLUSIVE on sellers for a nullable column; nothing reads a row.

set local lock_timeout = '2s';

alter table sellers add column bank_account text;
comment on column sellers.bank_account is 'The bank account that the provider pays the seller out to, by its id there; none known yet.';
grant update (bank_account) on sellers to partita_app;

create table bank_account_blocks (
    book_id integer not null,
    payout_id uuid not null,
    seller_id uuid not null,
    bank_account text,
    code text not null,
    blocked_at timestamptz not null,
    lifted_at timestamptz,
    lifted_by text,
    lifted_because text,
    primary key (book_id, payout_id),
    constraint bank_account_blocks_payout foreign key (book_id, payout_id) references payouts (book_id, id),
    constraint bank_account_blocks_seller foreign key (book_id, seller_id) references sellers (book_id, id),
    constraint bank_account_blocks_lifted_whole check (num_nonnulls(lifted_at, lifted_by, lifted_because) in (0, 3))
);
create unique index bank_account_blocks_one_open on bank_account_blocks (book_id, seller_id) where lifted_at is null;
comment on table bank_account_blocks is 'A payout came back for a reason that lies with the bank account: none is sent to it until the block is lifted.';
comment on column bank_account_blocks.bank_account is 'Its id at the provider.';
comment on column bank_account_blocks.code is 'Why the payout came back, in the provider''s words.';
comment on column bank_account_blocks.lifted_because is 'In words: another bank account was given, or what a person says.';

alter table bank_account_blocks enable row level security;
alter table bank_account_blocks force row level security;
create policy bank_account_blocks_of_book on bank_account_blocks using (book_id = current_setting('partita.book')::integer)
    with check (book_id = current_setting('partita.book')::integer);
grant select, insert on bank_account_blocks to partita_app;
grant update (lifted_at, lifted_by, lifted_because) on bank_account_blocks to partita_app;
create trigger bank_account_blocks_no_delete before delete on bank_account_blocks for each row execute function refuse_change();
create trigger bank_account_blocks_no_truncate before truncate on bank_account_blocks
    for each statement execute function refuse_change();

create function bank_account_blocks_lift_once() returns trigger language plpgsql as $$
begin
    if old.lifted_at is not null then
        raise exception 'a block is lifted once' using constraint = 'bank_account_blocks_lifted_once', errcode = '23514';
    end if;
    return new;
end $$;
comment on function bank_account_blocks_lift_once() is 'Keeps who lifted a block, and why, as it is.';
create trigger bank_account_blocks_lifts before update on bank_account_blocks
    for each row execute function bank_account_blocks_lift_once();

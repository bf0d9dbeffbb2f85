-- What the database did not keep yet of adjustments, debts and returned refunds.
--
-- Locks: SHARE ROW EXCLUSIVE on transfer_reversals, debt_settlements, payments and adjustments, until the commit. Nothing here
-- reads a row (foreign keys not valid yet: to validate one reads rows, which the policies allow under a book only; new rows
-- are checked), so that is milliseconds.

set local lock_timeout = '2s';

alter table transfer_reversals
    add constraint transfer_reversals_adjustment
        foreign key (book_id, adjustment_id) references adjustments (book_id, id) not valid;
alter table debt_settlements
    add constraint debt_settlements_payment foreign key (book_id, payment_id) references payments (book_id, id) not valid,
    add constraint debt_settlements_adjustment
        foreign key (book_id, adjustment_id) references adjustments (book_id, id) not valid;

create function debts_are_given_up_onwards() returns trigger language plpgsql as $$
begin
    if new.written_off_amount < old.written_off_amount or new.recovered_amount < old.recovered_amount then
        raise exception 'what was given up of a debt stays so' using constraint = 'debts_given_up_onwards', errcode = '23514';
    end if;
    return new;
end $$;
comment on function debts_are_given_up_onwards() is
    'Of a debt only what sales paid may become less again: its own money came back after all.';
create trigger debts_onwards before update on debts for each row execute function debts_are_given_up_onwards();

create function refunds_are_resolved_once() returns trigger language plpgsql as $$
begin
    if old.resolved_by is not null
        and (new.resolution, new.resolved_by, new.resolved_at)
            is distinct from (old.resolution, old.resolved_by, old.resolved_at) then
        raise exception 'a returned refund is decided about once' using constraint = 'refunds_resolved_once', errcode = '23514';
    end if;
    return new;
end $$;
comment on function refunds_are_resolved_once() is 'Keeps who decided about a returned refund, and what.';
create trigger refunds_resolved before update on refunds for each row execute function refunds_are_resolved_once();

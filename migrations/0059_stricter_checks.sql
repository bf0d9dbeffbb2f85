-- Two checks become as strict as what they stand for. A change that leaves an object in its state was taken whatever the state was
-- called; it must be one of the object's now. A payment could name a saved method of another customer.
--
-- A release of before writes neither.
--
-- Locks: ACCESS EXCLUSIVE on payments, SHARE ROW EXCLUSIVE on payment_methods, whose index is built meanwhile (a row for each
-- saved card: milliseconds for some ten thousand). Nothing of payments is read.

set local lock_timeout = '2s';

create or replace function state_history_follows_the_allowed() returns trigger language plpgsql as $$
begin
    if not exists (
        select from state_changes_allowed as allowed
        where allowed.object_type = new.object_type and allowed.to_state = new.to_state
          and (allowed.from_state = coalesce(new.from_state, '') or new.from_state = new.to_state)
    ) then
        raise exception 'a % cannot go from % to %', new.object_type, coalesce(new.from_state, 'nothing'), new.to_state
            using constraint = 'state_history_change_is_allowed', errcode = 'check_violation';
    end if;
    return new;
end
$$;

alter table payment_methods
    add constraint payment_methods_of_customer_unique unique (book_id, customer_id, id);

alter table payments
    drop constraint payments_saved_method,
    add constraint payments_saved_method_of_customer
        foreign key (book_id, customer_id, payment_method_id) references payment_methods (book_id, customer_id, id) not valid,
    add constraint payments_saved_method_has_customer check (payment_method_id is null or customer_id is not null) not valid;

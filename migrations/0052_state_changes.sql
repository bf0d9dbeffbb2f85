-- Which state may follow which, for every object whose changes stand in state_history. A row that goes another way is a
-- defect of the program, and is refused whoever writes it. Commands and received events have tables of their own, because
-- their histories have.

create table state_changes_allowed (
    object_type text not null,
    from_state text not null,
    to_state text not null,
    constraint state_changes_allowed_pkey primary key (object_type, from_state, to_state)
);
comment on table state_changes_allowed is 'Which state may follow which; read by the trigger of state_history.';
comment on column state_changes_allowed.from_state is 'Empty for a new object.';
grant select on state_changes_allowed to partita_app;

insert into state_changes_allowed (object_type, from_state, to_state) values
    ('seller', '', 'onboarding'),
    ('seller', 'onboarding', 'active'),
    ('seller', 'restricted', 'active'),
    ('seller', 'failed', 'active'),
    ('seller', 'active', 'restricted'),
    ('seller', 'onboarding', 'failed'),
    ('seller', 'failed', 'onboarding'),
    ('payment', '', 'processing'),
    ('payment', 'processing', 'requires_action'),
    ('payment', 'processing', 'authorized'),
    ('payment', 'requires_action', 'authorized'),
    ('payment', 'processing', 'succeeded'),
    ('payment', 'requires_action', 'succeeded'),
    ('payment', 'authorized', 'succeeded'),
    ('payment', 'failed', 'succeeded'),
    ('payment', 'canceled', 'succeeded'),
    ('payment', 'processing', 'failed'),
    ('payment', 'requires_action', 'failed'),
    ('payment', 'authorized', 'failed'),
    ('payment', 'processing', 'canceled'),
    ('payment', 'requires_action', 'canceled'),
    ('payment', 'authorized', 'canceled'),
    ('payment', 'succeeded', 'failed'),
    ('transfer', '', 'processing'),
    ('transfer', 'processing', 'succeeded'),
    ('transfer', 'processing', 'failed'),
    ('reversal', '', 'processing'),
    ('reversal', 'processing', 'succeeded'),
    ('reversal', 'processing', 'failed'),
    ('refund', '', 'processing'),
    ('refund', 'processing', 'pending'),
    ('refund', 'processing', 'succeeded'),
    ('refund', 'pending', 'succeeded'),
    ('refund', 'processing', 'failed'),
    ('refund', 'pending', 'failed'),
    ('refund', 'processing', 'returned'),
    ('refund', 'pending', 'returned'),
    ('refund', 'succeeded', 'returned'),
    ('refund', 'returned', 'failed'),
    ('refund', 'returned', 'settled'),
    ('dispute', '', 'inquiry'),
    ('dispute', '', 'needs_response'),
    ('dispute', 'inquiry', 'needs_response'),
    ('dispute', 'inquiry', 'under_review'),
    ('dispute', 'needs_response', 'under_review'),
    ('dispute', 'inquiry', 'won'),
    ('dispute', 'needs_response', 'won'),
    ('dispute', 'under_review', 'won'),
    ('dispute', 'inquiry', 'lost'),
    ('dispute', 'needs_response', 'lost'),
    ('dispute', 'under_review', 'lost'),
    ('dispute', 'inquiry', 'closed'),
    ('dispute', 'needs_response', 'closed'),
    ('dispute', 'under_review', 'closed'),
    ('payout', '', 'processing'),
    ('payout', '', 'pending'),
    ('payout', 'processing', 'pending'),
    ('payout', 'pending', 'in_transit'),
    ('payout', 'pending', 'paid'),
    ('payout', 'in_transit', 'paid'),
    ('payout', 'processing', 'failed'),
    ('payout', 'pending', 'failed'),
    ('payout', 'in_transit', 'failed'),
    ('payout', 'paid', 'failed'),
    ('payout', 'pending', 'canceled'),
    ('payout', 'in_transit', 'canceled'),
    ('payout', 'paid', 'canceled'),
    ('platform_payout', '', 'processing'),
    ('platform_payout', 'processing', 'pending'),
    ('platform_payout', 'pending', 'in_transit'),
    ('platform_payout', 'pending', 'paid'),
    ('platform_payout', 'in_transit', 'paid'),
    ('platform_payout', 'processing', 'failed'),
    ('platform_payout', 'pending', 'failed'),
    ('platform_payout', 'in_transit', 'failed'),
    ('platform_payout', 'paid', 'failed'),
    ('platform_payout', 'pending', 'canceled'),
    ('platform_payout', 'in_transit', 'canceled'),
    ('platform_payout', 'paid', 'canceled'),
    ('top_up', '', 'processing'),
    ('top_up', 'processing', 'pending'),
    ('top_up', 'processing', 'succeeded'),
    ('top_up', 'pending', 'succeeded'),
    ('top_up', 'processing', 'failed'),
    ('top_up', 'pending', 'failed'),
    ('adjustment', '', 'pending'),
    ('adjustment', '', 'booked'),
    ('adjustment', 'pending', 'booked'),
    ('adjustment', 'pending', 'rejected'),
    ('adjustment', 'pending', 'expired'),
    ('approval', '', 'pending'),
    ('approval', 'pending', 'approved'),
    ('approval', 'pending', 'rejected'),
    ('approval', 'pending', 'expired'),
    ('debt', '', 'open'),
    ('debt', 'open', 'paid'),
    ('debt', 'open', 'written_off'),
    ('reserve', '', 'open'),
    ('reserve', 'open', 'releasing'),
    ('reserve', 'releasing', 'released'),
    ('stuck_money', '', 'open'),
    ('stuck_money', 'open', 'cleared'),
    ('reconciliation_break', '', 'open'),
    ('verify_run', '', 'violated'),
    ('verify_run', 'violated', 'cleared'),
    ('recovery_policy', '', 'declared'),
    ('refund_policy', '', 'declared'),
    ('dispute_policy', '', 'declared'),
    ('reserve_policy', '', 'declared'),
    ('bank_holidays', '', 'declared'),
    ('webhook_endpoint', '', 'enabled'),
    ('webhook_endpoint', 'enabled', 'disabled'),
    ('webhook_endpoint', 'disabled', 'enabled'),
    ('webhook_endpoint', 'enabled', 'deleted'),
    ('webhook_endpoint', 'disabled', 'deleted'),
    ('operation', 'submitting', 'needs_review'),
    ('operation', 'unknown', 'needs_review'),
    ('operation', 'needs_review', 'succeeded'),
    ('operation', 'needs_review', 'failed');

create function state_history_follows_the_allowed() returns trigger language plpgsql as $$
begin
    -- What changes something else of an object leaves its state.
    if new.from_state is distinct from new.to_state and not exists (
        select from state_changes_allowed as allowed
        where allowed.object_type = new.object_type and allowed.from_state = coalesce(new.from_state, '')
          and allowed.to_state = new.to_state
    ) then
        raise exception 'a % cannot go from % to %', new.object_type, coalesce(new.from_state, 'nothing'), new.to_state
            using constraint = 'state_history_change_is_allowed', errcode = 'check_violation';
    end if;
    return new;
end
$$;

create trigger state_history_allowed before insert on state_history
    for each row execute function state_history_follows_the_allowed();

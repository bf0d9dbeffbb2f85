-- What is needed to tell from the stored facts alone what the ledger must say.

set local lock_timeout = '2s';

alter table provider_movements
    add column booked_as text,
    add constraint provider_movements_booked_as_known check (booked_as in ('pending', 'available'));
comment on column provider_movements.booked_as is
    'Whether its money was usable when it was booked. Never changes, unlike state. None on rows of releases before it.';

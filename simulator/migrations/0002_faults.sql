-- What faults need: which request an event came from, and deliveries that say something else than their event.

alter table events add column request_id text;
create index events_by_request on events (request_id) where request_id is not null;
comment on column events.request_id is 'The request that caused it; none for what the clock brought.';

alter table deliveries add column payload text;
comment on column deliveries.payload is 'Sent in place of the event''s own: a forged or older form of it. Null: the event''s own.';

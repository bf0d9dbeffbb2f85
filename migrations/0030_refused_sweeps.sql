-- Accounts whose events the provider does not show are asked for again every hour, and do not keep the others waiting.

set local lock_timeout = '2s';

alter table event_sweeps
    add column refused_at timestamptz,
    alter column swept_to drop not null,
    add constraint event_sweeps_swept_or_refused check (swept_to is not null or refused_at is not null);
comment on column event_sweeps.refused_at is 'When the provider last refused to show the account''s events; none after a sweep.';

grant update (refused_at) on event_sweeps to partita_app;

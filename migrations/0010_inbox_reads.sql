-- An event is given up for what its object looked like, never for how long the provider did not answer.

set local lock_timeout = '2s';

alter table inbox_events add column reads integer not null default 0
    constraint inbox_events_reads_count_up check (reads >= 0);
comment on column inbox_events.reads is
    'How often the provider showed the object behind it and nothing could be made of it; attempts counts every try.';

grant update (reads) on inbox_events to partita_app;

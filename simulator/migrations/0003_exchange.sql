-- What was converted: the rate of a movement that is kept in another currency than its object.

alter table balance_transactions add column exchange_rate text;
comment on column balance_transactions.exchange_rate is 'amount of the object times this is the amount here; null where nothing was converted.';

-- Of a payment: whose it is, and the saved method that is charged.
--
-- A release of before makes payments without customers, as ever.
--
-- Locks: ACCESS EXCLUSIVE on payments and SHARE ROW EXCLUSIVE on the new customers and payment_methods (for the references), until
-- the commit. It reads no row (columns that may be null or have a constant default, constraints not valid yet), so that is
-- milliseconds.

set local lock_timeout = '2s';

alter table payments
    add column customer_id uuid,
    add column payment_method_id uuid,
    add column off_session boolean not null default false;
alter table payments
    add constraint payments_customer foreign key (book_id, customer_id) references customers (book_id, id) not valid,
    add constraint payments_saved_method
        foreign key (book_id, payment_method_id) references payment_methods (book_id, id) not valid,
    add constraint payments_off_session_is_saved check (not off_session or payment_method_id is not null) not valid;
comment on column payments.payment_method_id is 'The saved method that is charged; payment_method is its token at the provider.';
comment on column payments.off_session is 'Charged while the buyer is away, who can confirm nothing.';

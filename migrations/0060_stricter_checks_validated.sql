-- A look at the payments that were there before 0059. The reference is not looked at: the policies of rows show its query nothing
-- without a book, and the program before wrote the customer of the method.
--
-- Locks: SHARE UPDATE EXCLUSIVE on payments until the commit; everybody goes on reading and writing.

set local lock_timeout = '2s';

alter table payments validate constraint payments_saved_method_has_customer;

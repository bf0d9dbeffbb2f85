-- Fee policies as ordered rules: versions that begin at a time, and payment lines that keep how their fee came about.
--
-- A release of before reads percent_bps and amounts of the version that fee_policies.version names. Terms of one rule
-- without conditions and tiers stand in these two columns alone, as ever. Terms of more have the price of their last
-- rule without conditions there (without its tiers), or nothing at all, so that an older process takes no more than
-- the platform's ordinary fee; give a policy such terms once every process knows rules. A version that is planned for
-- later is not named by fee_policies.version, so an older process never takes it early.
--
-- Locks: ACCESS EXCLUSIVE on fee_policy_versions, then on payment_lines, until the commit. Nothing here reads or writes a
-- row of payment_lines (new columns without defaults, constraints not valid yet), so that is milliseconds, however many
-- lines there are. What has to look at lines is in 0014 and 0015, without that lock.

set local lock_timeout = '2s';

-- ---------------------------------------------------------------------------------------------- versions

alter table fee_policy_versions
    add column valid_from timestamptz,
    add column rules jsonb,
    add constraint fee_policy_versions_rules_are_a_list check (rules is null or jsonb_typeof(rules) = 'array');

comment on table fee_policies is
    'What the platform keeps of a sale. version names a row of fee_policy_versions for releases that know no valid_from: the newest '
    'that was not planned for later when it was made.';
comment on column fee_policy_versions.valid_from is
    'From when it prices, by the business clock; the latest that has begun holds, of equal ones the highest version. None on rows of '
    'releases before it: created_at.';
comment on column fee_policy_versions.rules is
    'The ordered rules, first match wins. None where percent_bps and amounts say it all: one rule without conditions and tiers.';
comment on column fee_policy_versions.percent_bps is
    'Of terms with rules: that of the last rule without conditions, for releases that know no rules; nothing else reads it.';

-- ---------------------------------------------------------------------------------------------- payment lines

alter table payment_lines
    add column priced_at timestamptz,
    add column fee_rule integer,
    add column fee_volume bigint,
    add column fee_explanation text,
    add constraint payment_lines_fee_rule_of_a_policy
        check (fee_rule is null or (fee_rule between 1 and 100 and fee_policy_id is not null)) not valid,
    add constraint payment_lines_fee_volume_of_a_rule
        check (fee_volume is null or (fee_volume >= 0 and fee_rule is not null)) not valid;

comment on column payment_lines.priced_at is
    'When the payment was made, by the business clock, repeated for the sellers'' monthly volumes. None on lines of months that were '
    'over when 0014 came.';
comment on column payment_lines.fee_rule is 'The rule of the policy''s version that priced it, from 1. None: no rule did, or a release before rules.';
comment on column payment_lines.fee_volume is
    'Where the rule has tiers: what the seller had sold in the calendar month when it was priced, minor units.';
comment on column payment_lines.fee_explanation is 'How the commission came about, in words, as it was when it was priced. Never changes.';

create function payment_lines_take_time() returns trigger language plpgsql as $$
begin
    select created_at into new.priced_at from payments where book_id = new.book_id and id = new.payment_id;
    return new;
end $$;
comment on function payment_lines_take_time() is 'Gives lines of releases that know no priced_at the time of their payment.';
create trigger payment_lines_priced_at before insert on payment_lines
    for each row when (new.priced_at is null) execute function payment_lines_take_time();

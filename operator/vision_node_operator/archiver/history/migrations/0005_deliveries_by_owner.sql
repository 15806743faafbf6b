-- Owners take turns, and within each owner the hosts, so the index has both in this order.
CREATE INDEX deliveries_by_owner ON deliveries (owner, host, next_attempt_at) WHERE state = 'pending';
DROP INDEX deliveries_by_host;

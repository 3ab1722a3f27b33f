-- Set the base of a budget counter, if it still is the counter that was asked for, and the base the one that was read before the ledger was.
-- ARGV  2 kind, 3 scope, 4 start ms, 5 since ms, 6 base, 7 base before (empty: not known)   Reply now, 1 if it was set
local key = counter_key(ARGV[2], ARGV[3], tonumber(ARGV[4]))
local b = load_counter({}, key, redis.call('GET', key))
if not b or b.since ~= tonumber(ARGV[5]) or b.base ~= tonumber(ARGV[7]) then return {now, 0} end
b.base = tonumber(ARGV[6])
write_counter(b)
return {now, 1}

-- Set the base of a budget counter, if it still is the one that was asked for.
-- ARGV  2 kind, 3 scope, 4 start ms, 5 since ms, 6 base   Reply now, 1 if it was set
local key = counter_key(ARGV[2], ARGV[3], tonumber(ARGV[4]))
local b = load_counter({}, key, redis.call('GET', key))
if not b or b.since ~= tonumber(ARGV[5]) then return {now, 0} end
b.base = tonumber(ARGV[6])
write_counter(b)
return {now, 1}

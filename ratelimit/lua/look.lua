-- The index of orgs, for the sweeper: when to look at an org again, and when to forget it. Not of an org's slot, so nothing of common.lua.
-- KEYS  noted: orgs by when a replica last noted an admission, look: orgs by when to look
-- ARGV  now, forget orgs noted before, look again at idle ones, then org, next (-1: nothing open) of each
for i = 4, #ARGV, 2 do
  local org, next = ARGV[i], ARGV[i + 1]
  local noted = redis.call('ZSCORE', KEYS[1], org)
  if next ~= '-1' then
    redis.call('ZADD', KEYS[2], math.min(tonumber(next), tonumber(ARGV[3])), org)
  elseif noted and tonumber(noted) > tonumber(ARGV[2]) then
    redis.call('ZADD', KEYS[2], ARGV[3], org)
  else
    redis.call('ZREM', KEYS[1], org)
    redis.call('ZREM', KEYS[2], org)
  end
end
return {tonumber(ARGV[1]), 1}

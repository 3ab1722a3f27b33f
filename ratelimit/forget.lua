-- Take an org out of the index of orgs unless a replica has noted it again meanwhile.
-- KEYS  orgs   ARGV  org id, latest score that may be removed
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) <= tonumber(ARGV[2]) then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0

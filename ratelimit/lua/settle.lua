-- End a request: release what it holds, charge what it used, forget it.
-- ARGV  2 reservation id, 3 tokens, 4 whether it was admitted here, 5 user, 6 key, 7 publication to learn of (or empty), 8 prompt tokens for
--       1,000 bytes (-1: not known), 9 output tokens   Reply now, 1 if it changed anything
local id, tokens = ARGV[2], tonumber(ARGV[3])
local r = read_reservation(id)
-- Of one that was decided while the store was away only this tells that it is settled: no counter may have lost it.
local first = ARGV[4] == '1' or redis.call('SET', org .. 'x:' .. id, '', 'NX', 'PX', REPORTED)
if r then
  redis.call('ZREM', org .. (r.s == OPEN and 'due' or 'swept'), id)
  move(id, r, SETTLED, tokens)
  redis.call('DEL', org .. 'r:' .. id)
elseif ARGV[4] == '1' or not first then
  return {now, 0}  -- settled already; or the store was emptied meanwhile, and the ledger's base carries it
else
  change_budgets(ARGV[5], ARGV[6], admitted_at(id), tokens, {})
end
if ARGV[7] ~= '' then learn(ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])) end
return {now, 1}

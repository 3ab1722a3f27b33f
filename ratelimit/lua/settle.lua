-- End requests: release what they hold, charge what they used, forget them.
-- ARGV  from 2 on, of each: reservation id, tokens, whether it was admitted here, user, key, publication to learn of (or empty), prompt tokens
--       for 1,000 bytes (-1: not known), output tokens   Reply now, how many changed anything
local changed, marked = 0, {}

local function settle(id, tokens, is_ours, user, key)
  local r = read_reservation(id)
  -- Of one that was decided while the store was away only a mark tells that it is settled: no counter may have lost it.
  local mark = not is_ours and org .. 'x:' .. id
  local again = mark and (marked[mark] or redis.call('EXISTS', mark) == 1)
  if mark then marked[mark] = true end
  if r then
    moved[r.s == OPEN and 'due' or 'swept'][id] = false
    move(id, r, SETTLED, tokens)
    forget(id)
  elseif is_ours or again then
    return false  -- settled already; or the store was emptied meanwhile, and the ledger's base carries it
  else
    change_budgets(user, key, admitted_at(id), tokens, {})
  end
  return true
end

for i = 2, #ARGV, 8 do
  local id, tokens, is_ours, user, key, publication, per_kilobyte, output = unpack(ARGV, i, i + 7)
  if settle(id, tonumber(tokens), is_ours == '1', user, key) then
    changed = changed + 1
    if publication ~= '' then learn(publication, tonumber(per_kilobyte), tonumber(output)) end
  end
end

flush()
flush_lessons()
for mark in pairs(marked) do redis.call('SET', mark, '', 'NX', 'PX', REPORTED) end
return {now, changed}

-- Hold for a running request that the store has lost, in all budget counters that it may belong to, whether it fits or not.
-- Its limits are not known any more: what it tops up later is not refused.
-- ARGV  2 latest known time, 3 reservation id, 4 ttl ms, 5 user, 6 key, 7 tokens   Reply now, 1
local known, id, ttl, user, key, tokens = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[7])
local r = read_reservation(id)
if r then
  if r.s ~= OPEN then
    renew(id, r, ttl)
    flush()
  end
  return {now, 1}
end
local at, items = admitted_at(id), {}
for _, scope in ipairs(scopes(user, key)) do
  for _, kind in ipairs(CALENDARS) do
    local b = scope and rule(kind .. '0:0:1:' .. string.format('%.0f', MAX) .. ':' .. scope)
    local found = b and read(b, at)
    if b and not found and end_of(kind, start_of(kind, at)) > now then
      found = new_counter(b, kind, scope, at, known)
      b.base = nil  -- of this request at least the ledger has to tell
    end
    if found then
      b.h = b.h + tokens
      write_counter(b)
      items[#items + 1] = b.limit
      items[#items + 1] = tokens
    end
  end
end
write_reservation(id, {u = user, k = key, c = 1, s = OPEN, n = tokens, p = '', i = items}, HELD)
put('due', now + ttl, id)
return {now, 1}

-- Admit one request: charge and hold in every limit, or in none.
-- ARGV  2 latest known time, 3 UUIDv7 text behind its time, 4 claim, 5 its ttl ms, 6 user, 7 key, 8 publication, 9 cost; tokens to hold: 10 full,
--       11 free tokens from which full is given, 12 reduced (0: none), 13 the least that is offered; then the limits
-- Reply now, 1 admitted or 2 refused, reservation id, tokens held, learned, then free, ms to full, retry ms, held by all of each limit;
--       or now, 3, then kind, scope, start, end, since of each budget counter whose base is not known
local HEAD = 13
local known, ttl, cost = tonumber(ARGV[2]), tonumber(ARGV[5]), tonumber(ARGV[9])
local full, full_from, reduced, least = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])

-- The time of admission is never before a counter's `since`, so that a clock that goes back puts no request into the base.
local at, latest, limits = nil, now, {}
while at ~= latest and #ARGV > HEAD do
  at = latest
  local keys = {}
  for i = 1, #ARGV - HEAD do
    limits[i] = rule(ARGV[i + HEAD])
    keys[i] = key_of(limits[i], at)
  end
  local stored = redis.call('MGET', unpack(keys))
  for i, b in ipairs(limits) do
    if not load(b, keys[i], stored[i]) then new_counter(b, b.kind, b.name, at, known) end
    if b.calendar then latest = math.max(latest, b.since) end
  end
end
at = latest

local unseeded = {now, 3}
for _, b in ipairs(limits) do
  if b.calendar and not b.base and not b.dry then
    if b.new then write_counter(b) end
    local start = start_of(b.kind, at)
    for _, value in ipairs({b.kind, b.name, start, end_of(b.kind, start), b.since}) do unseeded[#unseeded + 1] = value end
  end
end
if #unseeded > 2 then return unseeded end

local admitted, tightest = true, nil
for _, b in ipairs(limits) do
  b.wanted = b.kind == 'r' and cost or b.kind == 's' and 1 or least
  b.free = free(b)
  b.fits = b.wanted <= b.free
  if not b.dry then
    admitted = admitted and b.fits
    if b.tokens then tightest = math.min(tightest or b.free, b.free) end
  end
end

local tokens = full
if tightest and tightest < full_from then
  tokens = reduced > 0 and reduced <= tightest and reduced or math.min(full, tightest)
end

local id, items = '', {}
if admitted then
  for _, b in ipairs(limits) do
    if b.fits then
      local n = b.kind == 's' and 1 or b.dry and math.min(tokens, b.free) or tokens
      if b.kind == 'r' then
        n = cost
        b.w = b.w + cost * b.P
      else
        b.h = b.h + n
        items[#items + 1] = b.limit
        items[#items + 1] = n
      end
      b.free = b.free - n
      write(b)
    end
  end
  id = string.format('%08x-%04x-', math.floor(at / 65536), math.fmod(at, 65536)) .. ARGV[3]
  write_reservation(id, {u = ARGV[6], k = ARGV[7], c = 0, s = OPEN, n = tokens, p = ARGV[4], i = items}, HELD)
  put('due', now + ttl, id)
end

local learned = ARGV[8] ~= '' and redis.call('HGET', org .. 'l', ARGV[8])
local reply, n = {now, admitted and 1 or 2, id, admitted and tokens or 0, learned and string.match(learned, '^[^;]*') or ''}, 5
for _, b in ipairs(limits) do
  local to_end = b.calendar and end_of(b.kind, start_of(b.kind, at)) - now
  local retry = 0
  if not b.fits then
    if b.wanted > b.B then retry = -1
    elseif b.calendar then retry = to_end
    elseif b.kind == 's' then retry = 1000
    else retry = to_fit(b) end
  end
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = b.free, to_end or to_full(b), retry, b.h
  n = n + 4
end
return reply

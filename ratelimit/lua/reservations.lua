-- What reservations hold and are charged, and how that changes. Behind common.lua and buckets.lua.
-- Many are changed in one call: what they share is read once, and written once by `flush`, behind all reads. A script that fails has written nothing.
local CALENDARS = {'d', 'w', 'm'}
local records, counters, carriers = {}, {}, {}
local kept, forgotten, held_on = {}, {}, {}
local last_charged = {}  -- by day, the latest time of admission of what was charged
local moved = {due = {}, swept = {}}  -- reservations and their new scores; false: taken out

local function admitted_at(id) return tonumber(string.sub(id, 1, 8) .. string.sub(id, 10, 13), 16) end

local function read_reservation(id)
  local r = records[id]
  if r == nil then
    local packed = redis.call('GET', org .. 'r:' .. id)
    r = packed and cmsgpack.unpack(packed)
    records[id] = r
  end
  return r
end

local function forget(id)
  records[id], kept[id] = false, nil
  forgotten[#forgotten + 1] = org .. 'r:' .. id
end

-- For scripts about one reservation, which write as they go.
local function read(b, at)
  local key = key_of(b, at)
  return load(b, key, redis.call('GET', key))
end

local function scopes(user, key) return {'org', user ~= '' and 'user:' .. user, key ~= '' and 'key:' .. key} end

-- Keys of the budget counters that carry requests of this user and key, of the day of `at`: a set.
local function carrying(user, key, at)
  local who = floor_div(at, DAY) .. user .. '/' .. key
  local keys = carriers[who]
  if not keys then
    keys = {}
    for _, kind in ipairs(CALENDARS) do
      local start = start_of(kind, at)
      for _, scope in ipairs(scopes(user, key)) do
        if scope then keys[counter_key(kind, scope, start)] = true end
      end
    end
    carriers[who] = keys
  end
  return keys
end

local function load_counters(names)
  local missing = {}
  for name in pairs(names) do
    if counters[name] == nil then missing[#missing + 1] = name end
  end
  if #missing == 0 then return end
  for i, stored in ipairs(redis.call('MGET', unpack(missing))) do
    counters[missing[i]] = load_counter({}, missing[i], stored) or false
  end
end

-- Holds and charges in budget counters: `holds` by key, and `tokens` in those of the request's org, user and key that carry it, whether it
-- held there or not.
local function change_budgets(user, key, at, tokens, holds)
  load_counters(holds)
  for name, n in pairs(holds) do
    local b = counters[name]
    if b then b.h = math.max(0, b.h + n) end
  end
  if tokens == 0 then return end
  local day = floor_div(at, DAY)
  last_charged[day] = math.max(at, last_charged[day] or 0)
  local carriers_of_it = carrying(user, key, at)
  load_counters(carriers_of_it)
  for name in pairs(carriers_of_it) do
    local b = counters[name]
    if b and b.since <= at then b.w = math.min(MAX, math.max(0, b.w + tokens)) end
  end
end

local function charged(state, held, total)
  if state == SWEPT then return held elseif state == SETTLED then return total end
  return 0
end

-- In a bucket, where what is used is charged at once, and stays so: giving it back would give back what has drained meanwhile.
local function charged_in_bucket(state, used, held, total) return math.max(used, used + charged(state, held, (total or 0) - used)) end

-- Brings a reservation from one state to another: what it holds and what it is charged, everywhere.
local function move(id, r, to, total)
  local at, budgets = admitted_at(id), {}
  local holds = (to == OPEN and 1 or 0) - (r.s == OPEN and 1 or 0)
  for i = 1, #r.i, 2 do
    local limit, n = r.i[i], r.i[i + 1]
    if IS_CALENDAR[string.sub(limit, 1, 1)] then
      budgets[key_of(rule(limit), at)] = holds * n
    else
      local b = bucket(limit)
      b.h = math.max(0, b.h + holds * n)
      local charge = charged_in_bucket(to, r.x or 0, n, total) - charged_in_bucket(r.s, r.x or 0, n)
      if b.kind == 't' then b.w = math.min(MAX, math.max(0, b.w + charge * b.P)) end
    end
  end
  change_budgets(r.u, r.k, at, charged(to, r.n, total) - charged(r.s, r.n), budgets)
  r.s = to
end

-- Charges what an open reservation has used so far in its buckets, where it then drains; so much less is held there. Budgets keep their hold.
local function use(id, r, used)
  local more = used - (r.x or 0)
  if more <= 0 then return end
  for i = 1, #r.i, 2 do
    if string.sub(r.i[i], 1, 1) == 't' then
      local b, released = bucket(r.i[i]), math.min(more, r.i[i + 1])
      b.w, b.h, r.i[i + 1] = math.min(MAX, b.w + more * b.P), math.max(0, b.h - released), r.i[i + 1] - released
      r.x, kept[id] = used, HELD
    end
  end
end

-- Holds from here on until another deadline; nothing that the reservation needs expires before it.
local function renew(id, r, ttl)
  local was = r.s
  if was ~= OPEN then
    move(id, r, OPEN)
    moved.swept[id] = false
  end
  if was ~= OPEN or r.c == 0 then
    r.c = 1
    kept[id] = HELD
  else
    held_on[org .. 'r:' .. id] = true
  end
  for i = 1, #r.i, 2 do held_on[key_of(rule(r.i[i]), admitted_at(id))] = true end
  moved.due[id] = now + ttl
end

local function flush_moved(zset, scores)
  local added, removed = {}, {}
  for id, score in pairs(scores) do
    if score then
      added[#added + 1] = score
      added[#added + 1] = id
    else
      removed[#removed + 1] = id
    end
  end
  if #removed > 0 then redis.call('ZREM', org .. zset, unpack(removed)) end
  if #added > 0 then put(zset, unpack(added)) end
end

-- Counters that begin later, or that begin anew while the clock is behind, have to know.
local function flush_charged()
  for day, at in pairs(last_charged) do
    if redis.call('ZADD', org .. 'charged', 'GT', at, day) == 1 then
      redis.call('ZREMRANGEBYSCORE', org .. 'charged', '-inf', now - HELD)
      redis.call('PEXPIRE', org .. 'charged', HELD)
    end
  end
end

local function flush()
  for _, b in pairs(buckets) do write_bucket(b) end
  for _, b in pairs(counters) do
    if b then write_counter(b) end
  end
  flush_charged()
  for id, ttl in pairs(kept) do write_reservation(id, records[id], ttl) end
  if #forgotten > 0 then redis.call('DEL', unpack(forgotten)) end
  for zset, scores in pairs(moved) do flush_moved(zset, scores) end
  for key in pairs(held_on) do redis.call('PEXPIRE', key, HELD, 'GT') end
end

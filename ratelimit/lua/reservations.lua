-- What a reservation holds and is charged, and how that changes. Behind common.lua.
local CALENDARS = {'d', 'w', 'm'}

local function admitted_at(id) return tonumber(string.sub(id, 1, 8) .. string.sub(id, 10, 13), 16) end

local function read_reservation(id)
  local packed = redis.call('GET', org .. 'r:' .. id)
  return packed and cmsgpack.unpack(packed)
end

local function read(b, at)
  local key = key_of(b, at)
  return load(b, key, redis.call('GET', key))
end

local function scopes(user, key) return {'org', user ~= '' and 'user:' .. user, key ~= '' and 'key:' .. key} end

-- Holds and charges in budget counters: `holds` by key, and `tokens` in those of the request's org, user and key that carry it, whether it
-- held there or not.
local function change_budgets(user, key, at, tokens, holds)
  local keys, carrying = {}, {}
  if tokens ~= 0 then
    for _, kind in ipairs(CALENDARS) do
      local start = start_of(kind, at)
      for _, scope in ipairs(scopes(user, key)) do
        if scope then
          keys[#keys + 1] = counter_key(kind, scope, start)
          carrying[keys[#keys]] = true
        end
      end
    end
  end
  for name in pairs(holds) do
    if not carrying[name] then keys[#keys + 1] = name end
  end
  if #keys == 0 then return end
  local stored = redis.call('MGET', unpack(keys))
  for i, name in ipairs(keys) do
    local b = stored[i] and load_counter({}, name, stored[i])
    if b then
      b.h = math.max(0, b.h + (holds[name] or 0))
      if carrying[name] and b.since <= at then b.w = math.min(MAX, math.max(0, b.w + tokens)) end
      write_counter(b)
    end
  end
end

local function charged(state, held, total)
  if state == SWEPT then return held elseif state == SETTLED then return total end
  return 0
end

-- Brings a reservation from one state to another: what it holds and what it is charged, everywhere.
local function move(id, r, to, total)
  local at, budgets = admitted_at(id), {}
  local holds = (to == OPEN and 1 or 0) - (r.s == OPEN and 1 or 0)
  for i = 1, #r.i, 2 do
    local b, n = rule(r.i[i]), r.i[i + 1]
    if b.calendar then
      budgets[key_of(b, at)] = holds * n
    else
      read(b, at)
      b.h = math.max(0, b.h + holds * n)
      if b.kind == 't' then b.w = math.min(MAX, math.max(0, b.w + (charged(to, n, total) - charged(r.s, n)) * b.P)) end
      write_bucket(b)
    end
  end
  change_budgets(r.u, r.k, at, charged(to, r.n, total) - charged(r.s, r.n), budgets)
  r.s = to
end

-- Holds from here on until another deadline; nothing that the reservation needs expires before it.
local function renew(id, r, ttl)
  local was = r.s
  if was ~= OPEN then
    move(id, r, OPEN)
    redis.call('ZREM', org .. 'swept', id)
  end
  if was ~= OPEN or r.c == 0 then
    r.c = 1
    write_reservation(id, r, HELD)
  else
    redis.call('PEXPIRE', org .. 'r:' .. id, HELD)
  end
  for i = 1, #r.i, 2 do redis.call('PEXPIRE', key_of(rule(r.i[i]), admitted_at(id)), HELD, 'GT') end
  put('due', now + ttl, id)
end

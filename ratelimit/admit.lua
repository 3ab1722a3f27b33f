-- Admit one request: charge every bucket or none, and record the reservation as not yet claimed. Rule: ratelimit/bucket.py.
-- KEYS  open, due, then one bucket for each limit (ratelimit/layout.py; all of one org, so of one slot)
-- ARGV  not_after ms, UUIDv7 text behind its time, claim, claim ttl ms, ttl of open and due ms, cost, then refill, period ms, capacity of each limit
-- Reply now ms, verdict (0 too late, 1 admitted, 2 refused), reservation id, then remaining, ms to full, retry ms of each limit
-- Numbers are doubles: all stay integers below 2^53 because capacity * period does (ratelimit/ports.py).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {now, 0, ''} end

local function ceil_div(a, b)  -- exact; math.ceil(a / b) rounds twice
  local rest = math.fmod(a, b)
  return (a - rest) / b + (rest > 0 and 1 or 0)
end

local cost = tonumber(ARGV[6])
local buckets, admitted = {}, true
for i = 1, #KEYS - 2 do
  local refill, period, capacity = tonumber(ARGV[3 * i + 4]), tonumber(ARGV[3 * i + 5]), tonumber(ARGV[3 * i + 6])
  local w, t = 0, now
  local stored = redis.call('GET', KEYS[i + 2])
  if stored then
    local a, b = string.match(stored, '^(%d+):(%d+)$')
    w, t = tonumber(a), tonumber(b)
    if now > t then
      if now - t >= w / refill then w = 0 else w = w - (now - t) * refill end
      t = now
    end
  end
  local excess = w - (capacity - cost) * period
  if cost > capacity or excess > 0 then admitted = false end
  buckets[i] = {refill, period, capacity, w, t, excess}
end

local reply = {now, 2, ''}
if admitted then
  local id = string.format('%08x-%04x-', math.floor(now / 65536), now % 65536) .. ARGV[2]
  redis.call('HSET', KEYS[1], id, ARGV[3])
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[4]), id)
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  reply = {now, 1, id}
end
for i, bucket in ipairs(buckets) do
  local refill, period, capacity, w, t, excess = unpack(bucket)
  if admitted then w = w + cost * period end
  local behind = t - now
  local to_full = w > 0 and behind + ceil_div(w, refill) or 0
  if admitted then
    redis.call('SET', KEYS[i + 2], string.format('%.0f:%.0f', w, t), 'PX', string.format('%.0f', to_full + 1000))
  end
  local free = capacity * period - w
  local retry = 0
  if not admitted and cost > capacity then retry = -1
  elseif not admitted and excess > 0 then retry = behind + ceil_div(excess, refill) end
  reply[#reply + 1] = free > 0 and (free - math.fmod(free, period)) / period or 0
  reply[#reply + 1] = to_full
  reply[#reply + 1] = retry
end
return reply

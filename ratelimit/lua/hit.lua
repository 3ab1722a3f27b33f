-- Take what the Rate Limit Service was asked for: of each request all or nothing. The rules in words: ratelimit/hits.py.
-- ARGV  from 2 on, of each request: how many descriptors, then limit and hits of each (0: only asked, negative: given back, '+n': own of the descriptor)
-- Reply now, then free, ms to full, retry ms of each descriptor of each request
local ASKED = 3600000

local function asked(b) return org .. 'a:' .. b.period .. ':' .. b.name end

local reply, changed = {now}, {}

local function add(b, hits)
  b.w = math.min(MAX, math.max(0, b.w + hits * b.P))
  changed[b.key] = true
end

-- Whether it is of something that has happened already: given back, or charged behind a question.
local function is_owed(b, hits, own)
  return hits < 0 or hits > 0 and own and redis.call('EXISTS', asked(b)) == 1
end

-- What is owed first, then the rest step by step: a request may name a bucket twice. What was taken is given back if a later step does not fit.
local function take(first, last)
  local retry, taken, owed, refused = {}, {}, {}, false
  for i = first, last, 2 do
    local b, hits = bucket(ARGV[i]), tonumber(ARGV[i + 1])
    owed[i], retry[i] = is_owed(b, hits, string.sub(ARGV[i + 1], 1, 1) == '+'), 0
    if owed[i] then add(b, hits) end
  end
  for i = first, last, 2 do
    local b, hits = bucket(ARGV[i]), tonumber(ARGV[i + 1])
    b.wanted = math.max(1, hits)
    if not owed[i] and b.wanted > free(b) then
      retry[i], refused = b.wanted > b.B and -1 or to_fit(b), refused or not b.dry
    elseif not owed[i] and hits > 0 then
      taken[#taken + 1] = i
      add(b, hits)
    end
    if hits == 0 then redis.call('SET', asked(b), '', 'PX', ASKED) end
  end
  if refused then
    for _, i in ipairs(taken) do add(bucket(ARGV[i]), -tonumber(ARGV[i + 1])) end
  end
  for i = first, last, 2 do
    local b, n = bucket(ARGV[i]), #reply
    reply[n + 1], reply[n + 2], reply[n + 3] = free(b), to_full(b), retry[i]
  end
end

local i = 2
while i < #ARGV do
  local last = i + 2 * ARGV[i]
  take(i + 1, last)
  i = last + 1
end
for key in pairs(changed) do write_bucket(buckets[key]) end
return reply

-- What settled requests teach of (org, publication): two histograms with edges 25 % apart, halved at 1,000 samples. Rule: ratelimit/learning.py.
local KEEP, SAMPLES = 30 * DAY, 1000

local function add(counts, value)
  local index, edge = 1, 1
  while edge < value and index < 64 do
    edge = edge + math.max(1, math.floor(edge / 4))
    index = index + 1
  end
  counts[index] = (counts[index] or 0) + 1
  local total = 0
  for _, n in pairs(counts) do total = total + n end
  if total < SAMPLES then return end
  for i, n in pairs(counts) do counts[i] = n > 1 and math.floor(n / 2) or nil end
end

local function quantile(counts, percent)
  local total, below, edge = 0, 0, 1
  for _, n in pairs(counts) do total = total + n end
  if total == 0 then return 0, 0 end
  for index = 1, 64 do
    below = below + (counts[index] or 0)
    if below * 100 >= total * percent then break end
    edge = edge + math.max(1, math.floor(edge / 4))
  end
  return edge, total
end

local function learn(publication, per_kilobyte, output)
  local stored = redis.call('HGET', org .. 'l', publication)
  local prompts, outputs = {}, {}
  if stored then prompts, outputs = unpack(cmsgpack.unpack(string.match(stored, '^[^;]*;(.*)$'))) end
  if per_kilobyte >= 0 then add(prompts, per_kilobyte) end
  add(outputs, output)
  local most = quantile(prompts, 99)
  local typical, samples = quantile(outputs, 75)
  local head = string.format('%.0f:%.0f:%.0f;', most, typical, samples)
  redis.call('HSET', org .. 'l', publication, head .. cmsgpack.pack({prompts, outputs}))
  redis.call('PEXPIRE', org .. 'l', KEEP)
end

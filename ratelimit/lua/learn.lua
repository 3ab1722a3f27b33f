-- What settled requests teach of (org, publication): two histograms with edges 25 % apart, halved at 1,000 samples. Rule: ratelimit/learning.py.
local KEEP, SAMPLES = 30 * DAY, 1000
local lessons = {}

local function total_of(counts)
  local total = 0
  for _, n in pairs(counts) do total = total + n end
  return total
end

local function add(histogram, value)
  local counts, index, edge = histogram.counts, 1, 1
  while edge < value and index < 64 do
    edge = edge + math.max(1, math.floor(edge / 4))
    index = index + 1
  end
  counts[index] = (counts[index] or 0) + 1
  histogram.total = histogram.total + 1
  if histogram.total < SAMPLES then return end
  for i, n in pairs(counts) do counts[i] = n > 1 and math.floor(n / 2) or nil end
  histogram.total = total_of(counts)
end

local function quantile(histogram, percent)
  local below, edge = 0, 1
  if histogram.total == 0 then return 0 end
  for index = 1, 64 do
    below = below + (histogram.counts[index] or 0)
    if below * 100 >= histogram.total * percent then break end
    edge = edge + math.max(1, math.floor(edge / 4))
  end
  return edge
end

local function lesson(publication)
  local known = lessons[publication]
  if not known then
    local stored = redis.call('HGET', org .. 'l', publication)
    local prompts, outputs = {}, {}
    if stored then prompts, outputs = unpack(cmsgpack.unpack(string.match(stored, '^[^;]*;(.*)$'))) end
    known = {prompts = {counts = prompts, total = total_of(prompts)}, outputs = {counts = outputs, total = total_of(outputs)}}
    lessons[publication] = known
  end
  return known
end

local function learn(publication, per_kilobyte, output)
  local known = lesson(publication)
  if per_kilobyte >= 0 then add(known.prompts, per_kilobyte) end
  add(known.outputs, output)
end

local function flush_lessons()
  for publication, known in pairs(lessons) do
    local most, typical = quantile(known.prompts, 99), quantile(known.outputs, 75)
    local head = string.format('%.0f:%.0f:%.0f;', most, typical, known.outputs.total)
    redis.call('HSET', org .. 'l', publication, head .. cmsgpack.pack({known.prompts.counts, known.outputs.counts}))
    redis.call('PEXPIRE', org .. 'l', KEEP)
  end
end

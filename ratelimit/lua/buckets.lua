-- Buckets of a script that changes many: each is read once, and written once by who includes this, behind all reads. Behind common.lua.
local rules, buckets = {}, {}  -- by limit, and by key: whoever had it last

-- The bucket of a limit as this script has left it. One bucket may be known by different rules.
local function bucket(limit)
  local b = rules[limit] or rule(limit)
  rules[limit] = b
  local key = b.key or key_of(b)
  local last = buckets[key]
  if not last then
    load_bucket(b, key, redis.call('GET', key))
  else
    b.key, b.w, b.h = key, last.w, last.h
    b.t = (b.w > 0 or b.h > 0) and last.t or now  -- an empty one is forgotten, and its time with it
  end
  buckets[key] = b
  return b
end

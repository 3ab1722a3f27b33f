-- Turn overdue holds into charges; tell which swept reservations have no event yet.
-- ARGV  2 how many   Reply now, when to look again (ms; 0: at once, -1: nothing is open), then id, claimed, tokens, claim of each
local limit = ARGV[2]
for _, id in ipairs(redis.call('ZRANGE', org .. 'due', '-inf', now, 'BYSCORE', 'LIMIT', '0', limit)) do
  local r = read_reservation(id)
  moved.due[id] = false
  if r then
    move(id, r, SWEPT)
    kept[id], moved.swept[id] = HELD, now
  end
end
flush()
local first = redis.call('ZRANGE', org .. 'due', '0', '0', 'WITHSCORES')
local reply = {now, tonumber(first[2] or -1)}
for _, id in ipairs(redis.call('ZRANGE', org .. 'swept', '0', limit - 1)) do
  local r = read_reservation(id)
  if r then
    reply[2] = 0
    for _, value in ipairs({id, r.c, r.n, r.p}) do reply[#reply + 1] = value end
  else
    redis.call('ZREM', org .. 'swept', id)
  end
end
return reply

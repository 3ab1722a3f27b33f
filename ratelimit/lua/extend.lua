-- Heartbeat of running requests: move their deadlines, mark them as claimed, bring swept ones back.
-- ARGV  2 ttl ms, then reservation ids   Reply now, then 1 or, of an unknown one, 0 for each
local reply = {now}
for i = 3, #ARGV do
  local r = read_reservation(ARGV[i])
  if r then renew(ARGV[i], r, tonumber(ARGV[2])) end
  reply[#reply + 1] = r and 1 or 0
end
flush()
return reply

-- Heartbeat of running requests: move their deadlines, mark them as claimed, bring swept ones back, charge what they have used.
-- ARGV  2 ttl ms, then reservation id and tokens used so far of each   Reply now, then 1 or, of an unknown one, 0 for each
local reply = {now}
for i = 3, #ARGV, 2 do
  local r = read_reservation(ARGV[i])
  if r then
    renew(ARGV[i], r, tonumber(ARGV[2]))
    use(ARGV[i], r, tonumber(ARGV[i + 1]))
  end
  reply[#reply + 1] = r and 1 or 0
end
flush()
return reply

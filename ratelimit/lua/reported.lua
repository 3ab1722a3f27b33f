-- Swept reservations have their event. That of a never claimed one says 0 tokens, and so does its charge from now on.
-- ARGV  reservation ids from 2 on   Reply now, 1
for i = 2, #ARGV do
  local id = ARGV[i]
  local r = redis.call('ZREM', org .. 'swept', id) == 1 and read_reservation(id)
  if r then
    if r.c == 0 then move(id, r, CLEARED) end
    write_reservation(id, r, REPORTED)
  end
end
return {now, 1}

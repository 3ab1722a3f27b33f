-- Swept reservations have their event. That of a never claimed one says 0 tokens, and so does its charge from now on.
-- ARGV  reservation ids from 2 on   Reply now, 1
for i = 2, #ARGV do
  local id = ARGV[i]
  if moved.swept[id] == nil and redis.call('ZSCORE', org .. 'swept', id) then
    moved.swept[id] = false
    local r = read_reservation(id)
    if r then
      if r.c == 0 then move(id, r, CLEARED) end
      kept[id] = REPORTED
    end
  end
end
flush()
return {now, 1}

-- Hold more in every token limit of a running request, or in none.
-- ARGV  2 reservation id, 3 tokens   Reply now, 1 granted, 2 over, 0 unknown or swept
local r, more = read_reservation(ARGV[2]), tonumber(ARGV[3])
if not r or r.s ~= OPEN then return {now, 0} end
local limits = {}
for i = 1, #r.i, 2 do
  local b = rule(r.i[i])
  if b.tokens and read(b, admitted_at(ARGV[2])) then
    b.more = b.dry and math.max(0, math.min(more, free(b))) or more
    if b.more > free(b) and not b.dry then return {now, 2} end
    limits[i] = b
  end
end
for i, b in pairs(limits) do
  b.h = b.h + b.more
  r.i[i + 1] = r.i[i + 1] + b.more
  write(b)
end
r.n = r.n + more
write_reservation(ARGV[2], r, HELD)
return {now, 1}

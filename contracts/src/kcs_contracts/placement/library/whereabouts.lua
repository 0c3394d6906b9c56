-- Where given meetings are, whatever nodes say of themselves: what the operator asks of declared
-- meetings that a survey of the nodes did not name.

-- For each: whether it is over, whether its home lives, people, node, epoch ('' and 0: no home).
local function whereabouts(_, args)
  local now, rows = now_ms(), {}
  for i, meeting in ipairs(args) do
    local home = home_of(meeting)
    local alive = home and is_alive(home.node, home.boot, now)
    rows[i] = {
      is_over(meeting) and 1 or 0, alive and 1 or 0, count_of(meeting),
      home and home.node or '', text(home and home.epoch or 0),
    }
  end
  return { 'ok', rows }
end

register_reading('kcs_whereabouts', whereabouts)

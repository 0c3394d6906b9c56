-- The end of a meeting's breakout rooms.

-- All of them at once, so that none stays open alone. Arguments: main meeting, what it said of them
-- until now and says from now on, and by whom ('' for nobody). Answers where their media is.
local function close_breakouts(_, args)
  local main, before, after = args[1], args[2], args[3]
  if is_over(main) then
    return { 'ended' }
  end
  if call('HGET', 'kcs:live:' .. main, 'breakouts') ~= before then
    return { 'ok', 0, {} }
  end
  local homes = {}
  for _, room in ipairs(cjson.decode(before).rooms) do
    local home = home_of(room.id)
    if home then
      homes[#homes + 1] = { room.id, home.node, home.boot, text(home.epoch), home.url }
    end
    end_for(room.id, 'breakout_closed')
  end
  set_live(main, 'breakouts', after, args[4] ~= '' and args[4] or nil)
  return { 'ok', 1, homes }
end

redis.register_function('kcs_close_breakouts', close_breakouts)

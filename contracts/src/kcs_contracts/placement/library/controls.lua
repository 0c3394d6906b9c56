-- What hosts do about people, and people about themselves.

-- Whoever waits comes in now; whether they did. That WaitingLeft says admitted is the news of their
-- mark, too, which the caller sets.
local function let_in_from_queue(meeting, id)
  local waited = waiting_of(meeting, id)
  if waited then
    let_in(meeting, id)
    end_waiting(meeting, id, 'admitted')
  end
  return waited
end

-- Arguments: meeting, and who; nobody: all that wait.
local function admit(_, args)
  local meeting, admitted = args[1], {}
  local who = #args > 1 and { unpack(args, 2) } or call('HKEYS', 'kcs:waiting:' .. meeting)
  for _, id in ipairs(who) do
    if let_in_from_queue(meeting, id) then
      admitted[#admitted + 1] = id
    end
  end
  make_place(meeting, #admitted)
  for _, id in ipairs(admitted) do
    call('HSET', 'kcs:live:' .. meeting, 'admitted:' .. id, 'true')
  end
  return { 'ok', admitted }
end

local function deny(_, args)
  if not waiting_of(args[1], args[2]) then
    return { 'ok', 0 }
  end
  end_waiting(args[1], args[2], 'denied', args[3])
  return { 'ok', 1 }
end

-- Whoever is there has their role, and no host loses theirs by being asked in.
local function takes_role(meeting, id)
  return not is_in(meeting, id) and live(meeting, 'host_id') ~= id
    and given_role(meeting, id) ~= 'host'
end

-- They come in without approval, whatever was before. Arguments: meeting, the role that they then
-- have ('' for what it would be), and who.
local function welcome(_, args)
  local meeting, role, marks = args[1], args[2], {}
  if is_over(meeting) then
    return { 'ended' }
  end
  for i = 3, #args do
    set_live(meeting, 'removed:' .. args[i], nil)
    let_in_from_queue(meeting, args[i])
    marks[#marks + 1], marks[#marks + 2] = 'admitted:' .. args[i], 'true'
    if role ~= '' and takes_role(meeting, args[i]) then
      marks[#marks + 1], marks[#marks + 2] = 'role:' .. args[i], cjson.encode(role)
    end
  end
  set_marks(meeting, marks)
  return { 'ok' }
end

-- Out of the meeting, and out of the breakout room that they are in or come back from.
local function expel(_, args)
  local meeting, id, note = args[1], args[2], args[3]
  local participant, room = participant_of(meeting, id), call('HGET', 'kcs:inside:' .. meeting, id)
  local is_there = participant or room or waiting_of(meeting, id) or args[4] == '1'
  if is_over(meeting) or not is_there then
    return { 'ok', 0 }
  end
  if not live(meeting, 'parent') then -- a breakout room asks its main meeting
    set_live(meeting, 'admitted:' .. id, nil)
    call('SREM', 'kcs:let_in:' .. meeting, id)
    if not marked(meeting, 'removed', id) then
      set_marks(meeting, { 'removed:' .. id, text(now_ms()) })
    end
  end
  local inside = room and participant_of(room, id)
  if inside then
    remove(room, inside, 'removed', note)
  elseif room then
    move_out(meeting, { id = id, display_name = '' }, room)
    begin_idle(meeting)
  end
  if participant then
    remove(meeting, participant, 'removed', note)
  elseif waiting_of(meeting, id) then
    end_waiting(meeting, id, 'denied', note)
  end
  return { 'ok', 1 }
end

-- Wherever in the meeting they are; answers where that is.
local function change_role(_, args)
  local main, id, role = main_of(args[1]), args[2], args[3]
  local places = places_of(args[1], id)
  if #places > 0 then
    set_marks(main, { 'role:' .. id, cjson.encode(role) }, args[4])
  end
  if #places > 0 and is_acting(main, id) then
    set_live(main, 'acting', nil)
  end
  for _, place in ipairs(places) do
    local participant = participant_of(place, id)
    if participant.role ~= role then
      change(place, participant, 'role', role, { old_role = participant.role, by = args[4] })
    end
  end
  return { 'ok', places }
end

local function mute_in(meeting, id, kind, on, more)
  local participant = participant_of(meeting, id)
  if (participant[kind .. '_muted'] == true) ~= on then
    change(meeting, participant, kind .. '_muted', on, more)
  end
  if on then
    local source = kind == 'audio' and 'mic' or 'camera'
    for _, plane in ipairs({ HOME, NEXT }) do
      local producer = source_of(meeting, { participant_id = id, source = source }, plane)
      if producer then
        pause(meeting, producer_of(meeting, producer, plane), true, plane)
      end
    end
    set_flag(meeting, participant_of(meeting, id), kind .. '_enabled', false)
  end
end

-- Wherever in the meeting they are; answers where that is.
local function mute(_, args)
  local places, by = places_of(args[1], args[2]), args[5] ~= '' and args[5] or nil
  for _, place in ipairs(places) do
    mute_in(place, args[2], args[3], args[4] == '1', { by = by, note = args[6] })
  end
  return { 'ok', places }
end

-- Arguments: meeting, who, up ('1') or down, by.
local function hand(_, args)
  local participant = participant_of(args[1], args[2])
  if not participant then
    return { 'ok', 0 }
  end
  local up, was = args[3] == '1', participant.hand_raised_at_ms
  local is_up = was ~= nil and was ~= cjson.null
  if up ~= is_up then
    local by = args[4] ~= '' and args[4] or nil
    change(args[1], participant, 'hand_raised_at_ms', up and now_ms() or cjson.null, { by = by })
  end
  return { 'ok', 1 }
end

local function start_screen(_, args)
  local meeting, participant = args[1], spoken_for(args[1], args[2], args[3])
  if not participant then
    return { 'absent' }
  end
  if not take_screen(meeting, participant.id) then
    return { 'screens' }
  end
  set_flag(meeting, participant, 'screen_sharing', true)
  return { 'ok' }
end

local function stop_screen(_, args)
  local participant = participant_of(args[1], args[2])
  if not participant then
    return { 'ok', 0 }
  end
  call('SREM', 'kcs:screens:' .. args[1], args[2])
  set_flag(args[1], participant, 'screen_sharing', false)
  return { 'ok', 1 }
end

local function report_stats(_, args)
  local meeting, id, quality = args[1], args[2], args[4]
  local participant = participant_of(meeting, id)
  if not participant then
    return { 'ok', 0 }
  end
  call('HSET', 'kcs:stats:' .. meeting, id, args[3])
  call('PEXPIRE', 'kcs:stats:' .. meeting, 60000)
  if participant.quality ~= quality then
    change(meeting, participant, 'quality', quality)
  end
  return { 'ok', 1 }
end

-- Nothing here names that person any more, but what others may still see of them on the bus.
local function forget(_, args)
  local meeting, id = args[1], args[2]
  local participant = participant_of(meeting, id)
  if participant then
    remove(meeting, participant, 'removed')
  end
  if waiting_of(meeting, id) then
    end_waiting(meeting, id, 'denied')
  end
  for _, mark in ipairs({ 'removed', 'admitted', 'role', 'muted_audio', 'muted_video' }) do
    set_live(meeting, mark .. ':' .. id, nil)
  end
  for _, field in ipairs({ 'spotlight', 'host_id' }) do
    if live(meeting, field) == id then
      set_live(meeting, field, nil)
    end
  end
  if is_acting(meeting, id) then
    set_live(meeting, 'acting', nil)
  end
  call('SREM', 'kcs:let_in:' .. meeting, id)
  local room = call('HGET', 'kcs:inside:' .. meeting, id)
  if room then
    move_out(meeting, { id = id, display_name = '' }, room)
    call('ZREM', 'kcs:presence', meeting .. '/' .. id)
    begin_idle(meeting)
  end
  call('DEL', 'kcs:log:' .. meeting)
  return { 'ok' }
end

redis.register_function('kcs_admit', admit)
redis.register_function('kcs_deny', deny)
redis.register_function('kcs_welcome', welcome)
redis.register_function('kcs_expel', expel)
redis.register_function('kcs_change_role', change_role)
redis.register_function('kcs_mute', mute)
redis.register_function('kcs_hand', hand)
redis.register_function('kcs_start_screen', start_screen)
redis.register_function('kcs_stop_screen', stop_screen)
redis.register_function('kcs_report_stats', report_stats)
redis.register_function('kcs_forget', forget)
register_reading('kcs_reported_stats', function(_, args)
  return { 'ok', call('HVALS', 'kcs:stats:' .. args[1]) }
end)

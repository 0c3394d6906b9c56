-- Who comes in, stays and goes, under which session, and until when.

local function needs_approval(meeting, new)
  return settings_of(meeting).require_host_approval and not leads(new.role)
    and not marked(meeting, 'admitted', new.id) and not is_inside(meeting, new.id)
end

local function is_in(meeting, id)
  return participant_of(meeting, id) or is_inside(meeting, id)
end

-- Why somebody new may not come in, or nil; `limit` counts those in breakout rooms too, who may
-- always come back. Into a breakout room nobody comes whom the main meeting would not let in.
local function refusal(meeting, new, limit)
  if was_removed(meeting, new.id) then
    return 'removed'
  end
  if is_inside(meeting, new.id) then
    return nil
  end
  local main = live(meeting, 'parent')
  if main and not is_in(main, new.id) then
    local why = refusal(main, new, limit) or (needs_approval(main, new) and 'absent')
    if why then
      return why
    end
  end
  local rooms = main and live(main, 'breakouts')
  local locked = settings_of(meeting).locked and not was_let_in(meeting, new.id)
  local shut = locked or (rooms and not rooms.open)
  if shut and not leads(new.role) then
    return 'locked'
  end
  if count_of(meeting) + call('HLEN', 'kcs:inside:' .. meeting) >= limit then
    return 'full'
  end
end

local function is_acting(meeting, id)
  local acting = live(meeting, 'acting')
  return acting and acting.id == id
end

-- The host is back: whoever was host in their place is what they were before, wherever they are.
local function give_back(meeting)
  local acting = live(meeting, 'acting')
  if not acting then
    return
  end
  set_live(meeting, 'acting', nil)
  for _, where in ipairs({ meeting, call('HGET', 'kcs:inside:' .. meeting, acting.id) or nil }) do
    local deputy = participant_of(where, acting.id)
    if deputy and deputy.role == 'host' then
      change(where, deputy, 'role', acting.was, { old_role = 'host' })
    end
  end
end

-- Arguments: meeting, participant, limit, presence in ms, and pairs of what holds in the meeting
-- where nobody has said anything yet.
local function join(_, args)
  local meeting, new, now = args[1], cjson.decode(args[2]), now_ms()
  if is_over(meeting) then
    return { 'ended' }
  end
  begin_live(meeting, args, 5, #args)
  keep(meeting)
  follow_main(meeting)
  local known = participant_of(meeting, new.id)
  -- on the way into a breakout room, or back
  local stands_in = not known and is_acting(main_of(meeting), new.id)
  new.role = known and known.role or stands_in and 'host' or given_role(meeting, new.id) or new.role
  if not known then
    local why = refusal(meeting, new, tonumber(args[3]))
    if why then
      return { why }
    end
    if needs_approval(meeting, new) then
      return wait(meeting, new, now, args[4])
    end
    if waiting_of(meeting, new.id) then
      end_waiting(meeting, new.id, 'left')
    end
  end
  new.joined_at_ms = known and known.joined_at_ms or now
  if not known then
    mute_as_before(meeting, new)
  end
  for _, kept in ipairs(known and KEPT_OF_PERSON or {}) do
    new[kept] = known[kept]
  end
  local encoded = store_participant(meeting, new)
  present_until(meeting, new.id, now + args[4])
  local replaced, version = '', nil
  if not known then
    call('SREM', 'kcs:let_in:' .. meeting, new.id)
    local room = call('HGET', 'kcs:inside:' .. meeting, new.id)
    if room and not participant_of(room, new.id) then -- else they are in both until they leave it
      move_out(meeting, new, room)
    end
    version = publish_joined(meeting, new, encoded)
    if new.role == 'host' and not stands_in then
      give_back(meeting)
    end
  elseif known.session ~= new.session then
    replaced = known.session
    version = publish(meeting, cjson.encode({
      type = 'session_replaced', participant_id = new.id,
      old_session = known.session, new_session = new.session,
    }))
  else
    version = call('HGET', 'kcs:home:' .. meeting, 'version')
  end
  if known and known.display_name ~= new.display_name then
    version = change(meeting, new, 'display_name', new.display_name)
  end
  return { 'ok', text(version), encoded, known and 1 or 0, replaced, count_of(meeting) }
end

-- Whether a host of the meeting is in one of its breakout rooms.
local function leads_inside(meeting)
  local inside = call('HGETALL', 'kcs:inside:' .. meeting)
  for i = 1, #inside, 2 do
    local person = participant_of(inside[i + 1], inside[i])
    if person and person.role == 'host' then
      return true
    end
  end
  return false
end

-- The host is gone for good: a co-host is host in their place, else the presenter who is there
-- longest. Whoever went into a breakout room is not gone.
local function hand_over(meeting, left)
  if left.role ~= 'host' or is_in(meeting, left.id) then
    return
  end
  if is_acting(meeting, left.id) then
    set_live(meeting, 'acting', nil)
  end
  if settings_of(meeting).host_succession == false or leads_inside(meeting) then
    return
  end
  local rank, next_host = { co_host = 2, presenter = 1 }, nil
  for _, encoded in ipairs(call('HVALS', 'kcs:people:' .. meeting)) do
    local other = cjson.decode(encoded)
    if other.role == 'host' then
      return
    end
    local better = rank[other.role] and (not next_host
      or rank[other.role] > rank[next_host.role]
      or (other.role == next_host.role and other.joined_at_ms < next_host.joined_at_ms))
    if better then
      next_host = other
    end
  end
  if next_host then
    local was = next_host.role
    set_live(meeting, 'acting', cjson.encode({ id = next_host.id, was = was }))
    change(meeting, next_host, 'role', 'host', { old_role = was })
  end
end

local function remove(meeting, participant, reason, note)
  call('HDEL', 'kcs:people:' .. meeting, participant.id)
  call('HDEL', 'kcs:stats:' .. meeting, participant.id)
  call('SREM', 'kcs:screens:' .. meeting, participant.id)
  call('ZREM', 'kcs:presence', meeting .. '/' .. participant.id)
  note_gone(meeting, participant.id)
  for _, plane in ipairs({ '', 'next_' }) do
    for _, source in ipairs(SOURCES) do
      local sources, field = 'kcs:' .. plane .. 'sources:' .. meeting, participant.id .. '/' .. source
      local producer = call('HGET', sources, field)
      if producer then
        call('HDEL', sources, field)
        call('HDEL', 'kcs:' .. plane .. 'producers:' .. meeting, producer)
      end
    end
  end
  call('SREM', 'kcs:crossed:' .. meeting, participant.id)
  if reason ~= 'removed' then
    keep_mutes(meeting, { participant })
  end
  local count = count_of(meeting)
  if count == 0 then
    drop_reservation(meeting)
  end
  publish(meeting, cjson.encode({
    type = 'participant_left', participant_id = participant.id, note = note or '',
    display_name = participant.display_name, reason = reason, count = count,
  }))
  if live(meeting, 'spotlight') == participant.id then
    set_live(meeting, 'spotlight', nil)
  end
  local main = live(meeting, 'parent')
  if main then
    move_out(main, participant, meeting)
    begin_idle(main)
  end
  hand_over(main or meeting, participant) -- a breakout room has the main meeting's hosts
  keep(meeting)
  begin_idle(meeting)
end

local function leave(_, args)
  local participant = spoken_for(args[1], args[2], args[3])
  if not participant then
    if waits(args[1], args[2], args[3]) then
      end_waiting(args[1], args[2], 'left')
    end
    return { 'ok', 0 }
  end
  remove(args[1], participant, args[4])
  return { 'ok', 1 }
end

local function touch(_, args)
  local until_ms, missing = now_ms() + args[1], {}
  for i = 2, #args, 3 do
    if speaks(args[i], args[i + 1], args[i + 2]) then
      present_until(args[i], args[i + 1], until_ms)
    else
      missing[#missing + 1] = (i - 2) / 3
    end
  end
  return { 'ok', missing }
end

local function away(_, args)
  if not speaks(args[1], args[2], args[3]) then
    return { 'ok', 0 }
  end
  present_until(args[1], args[2], now_ms() + args[4])
  return { 'ok', 1 }
end

-- Somebody did not come back from a breakout room that closed.
local function forget_way_back(meeting, id)
  local room = call('HGET', 'kcs:inside:' .. meeting, id)
  if room and not participant_of(room, id) then
    move_out(meeting, { id = id, display_name = '' }, room)
    begin_idle(meeting)
    local was_host = id == live(meeting, 'host_id') or is_acting(meeting, id)
    hand_over(meeting, { id = id, role = was_host and 'host' or given_role(meeting, id) })
  end
end

-- Hosts go last, so that nobody takes their place who is gone as well.
local function sweep(_, args)
  local gone, hosts = {}, {}
  local ended = call('ZRANGEBYSCORE', 'kcs:presence', '-inf', text(now_ms()), 'LIMIT', 0, args[1])
  for _, member in ipairs(ended) do
    local meeting, id = string.match(member, '^(.-)/(.*)$')
    call('ZREM', 'kcs:presence', member)
    local participant = participant_of(meeting, id)
    if participant then
      gone[#gone + 1] = { meeting, id }
      if participant.role == 'host' then
        hosts[#hosts + 1] = { meeting = meeting, participant = participant }
      else
        remove(meeting, participant, 'timeout')
      end
    elseif waiting_of(meeting, id) then
      end_waiting(meeting, id, 'left')
    else
      forget_way_back(meeting, id)
    end
  end
  for _, host in ipairs(hosts) do
    remove(host.meeting, host.participant, 'timeout')
  end
  return { 'ok', gone }
end

local function toggle_media(_, args)
  local participant = spoken_for(args[1], args[2], args[3])
  if not participant then
    return { 'ok', 0 }
  end
  set_flag(args[1], participant, args[4] .. '_enabled', args[5] == '1')
  return { 'ok', 1 }
end

redis.register_function('kcs_join', join)
redis.register_function('kcs_leave', leave)
redis.register_function('kcs_touch', touch)
redis.register_function('kcs_away', away)
redis.register_function('kcs_sweep', sweep)
redis.register_function('kcs_toggle_media', toggle_media)

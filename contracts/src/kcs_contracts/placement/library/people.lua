-- Who is in a meeting, under which session, and until when.

local function participant_of(meeting, id)
  local found = call('HGET', 'kcs:people:' .. meeting, id)
  return found and cjson.decode(found)
end

-- The participant, if that session speaks for it.
local function spoken_for(meeting, id, session)
  local found = participant_of(meeting, id)
  return found and found.session == session and found or nil
end

local function store_participant(meeting, participant)
  local encoded = cjson.encode(participant)
  call('HSET', 'kcs:people:' .. meeting, participant.id, encoded)
  return encoded
end

local function present_until(meeting, id, moment)
  call('ZADD', 'kcs:presence', text(moment), meeting .. '/' .. id)
end

local function publish_joined(meeting, encoded)
  local count = text(count_of(meeting))
  local event = '{"type":"participant_joined","participant":' .. encoded .. ',"count":' .. count .. '}'
  local version = publish(meeting, event)
  keep(meeting)
  return version
end

local function set_flag(meeting, participant, flag, on)
  if participant[flag] == on then
    return
  end
  participant[flag] = on
  store_participant(meeting, participant)
  if KINDS[flag] then
    publish(meeting, cjson.encode({
      type = 'media_toggled', participant_id = participant.id, kind = KINDS[flag], enabled = on,
    }))
  end
end

local function join(_, args)
  local meeting, new, now = args[1], cjson.decode(args[2]), now_ms()
  if is_over(meeting) then
    return { 'ended' }
  end
  local known = participant_of(meeting, new.id)
  if not known and count_of(meeting) >= tonumber(args[3]) then
    return { 'full' }
  end
  new.joined_at_ms = known and known.joined_at_ms or now
  for _, flag in pairs(known and FLAGS or {}) do
    new[flag] = known[flag]
  end
  local encoded = store_participant(meeting, new)
  present_until(meeting, new.id, now + args[4])
  local replaced, version = '', nil
  if not known then
    version = publish_joined(meeting, encoded)
  elseif known.session ~= new.session then
    replaced = known.session
    version = publish(meeting, cjson.encode({
      type = 'session_replaced', participant_id = new.id,
      old_session = known.session, new_session = new.session,
    }))
  else
    version = call('HGET', 'kcs:home:' .. meeting, 'version')
  end
  return { 'ok', text(version), encoded, known and 1 or 0, replaced, count_of(meeting) }
end

local function remove(meeting, participant, reason)
  call('HDEL', 'kcs:people:' .. meeting, participant.id)
  call('ZREM', 'kcs:presence', meeting .. '/' .. participant.id)
  for _, source in ipairs(SOURCES) do
    local field = participant.id .. '/' .. source
    local producer = call('HGET', 'kcs:sources:' .. meeting, field)
    if producer then
      call('HDEL', 'kcs:sources:' .. meeting, field)
      call('HDEL', 'kcs:producers:' .. meeting, producer)
    end
  end
  local count = count_of(meeting)
  if count == 0 then
    drop_reservation(meeting)
  end
  publish(meeting, cjson.encode({
    type = 'participant_left', participant_id = participant.id,
    display_name = participant.display_name, reason = reason, count = count,
  }))
  keep(meeting)
end

local function leave(_, args)
  local participant = spoken_for(args[1], args[2], args[3])
  if not participant then
    return { 'ok', 0 }
  end
  remove(args[1], participant, args[4])
  return { 'ok', 1 }
end

local function touch(_, args)
  local until_ms, missing = now_ms() + args[1], {}
  for i = 2, #args, 3 do
    if spoken_for(args[i], args[i + 1], args[i + 2]) then
      present_until(args[i], args[i + 1], until_ms)
    else
      missing[#missing + 1] = (i - 2) / 3
    end
  end
  return { 'ok', missing }
end

local function away(_, args)
  if not spoken_for(args[1], args[2], args[3]) then
    return { 'ok', 0 }
  end
  present_until(args[1], args[2], now_ms() + args[4])
  return { 'ok', 1 }
end

local function sweep(_, args)
  local gone = {}
  local ended = call('ZRANGEBYSCORE', 'kcs:presence', '-inf', text(now_ms()), 'LIMIT', 0, args[1])
  for _, member in ipairs(ended) do
    local meeting, id = string.match(member, '^(.-)/(.*)$')
    call('ZREM', 'kcs:presence', member)
    local participant = participant_of(meeting, id)
    if participant then
      remove(meeting, participant, 'timeout')
      gone[#gone + 1] = { meeting, id }
    end
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

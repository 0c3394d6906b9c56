-- What people send; and putting people back with what they send.

local function producer_of(meeting, id)
  local found = call('HGET', 'kcs:producers:' .. meeting, id)
  return found and cjson.decode(found)
end

local function follow(meeting, producer, on)
  local participant, flag = participant_of(meeting, producer.participant_id), FLAGS[producer.source]
  if participant and flag then
    set_flag(meeting, participant, flag, on)
  end
end

local function store_producer(meeting, producer)
  local encoded = cjson.encode(producer)
  call('HSET', 'kcs:producers:' .. meeting, producer.id, encoded)
  return encoded
end

local function open(meeting, producer)
  local field = producer.participant_id .. '/' .. producer.source
  call('HSET', 'kcs:sources:' .. meeting, field, producer.id)
  local encoded = store_producer(meeting, producer)
  publish(meeting, '{"type":"producer_opened","producer":' .. encoded .. '}')
end

local function close(meeting, producer, reason)
  call('HDEL', 'kcs:producers:' .. meeting, producer.id)
  call('HDEL', 'kcs:sources:' .. meeting, producer.participant_id .. '/' .. producer.source)
  publish(meeting, cjson.encode({
    type = 'producer_closed', producer_id = producer.id, source = producer.source,
    participant_id = producer.participant_id, reason = reason,
  }))
end

local function is_current(meeting, epoch, generation)
  local home = home_of(meeting)
  return home and home.epoch == tonumber(epoch) and home.generation == tonumber(generation)
end

local function open_producer(_, args)
  local meeting, producer = args[1], cjson.decode(args[2])
  if not participant_of(meeting, producer.participant_id) then
    return { 'absent' }
  end
  if not is_current(meeting, args[3], args[4]) then
    return { 'stale' }
  end
  if producer_of(meeting, producer.id) then
    return { 'ok', '' }
  end
  local field = producer.participant_id .. '/' .. producer.source
  local older = call('HGET', 'kcs:sources:' .. meeting, field)
  if older then
    close(meeting, producer_of(meeting, older), 'closed')
  end
  open(meeting, producer)
  follow(meeting, producer, not producer.paused)
  return { 'ok', older or '' }
end

local function pause_producer(_, args)
  local meeting, producer, paused = args[1], producer_of(args[1], args[2]), args[4] == '1'
  if not producer or producer.participant_id ~= args[3] then
    return { 'ok', 0 }
  end
  if producer.paused ~= paused then
    producer.paused = paused
    store_producer(meeting, producer)
    publish(meeting, cjson.encode({
      type = 'producer_paused', producer_id = producer.id,
      participant_id = producer.participant_id, paused = paused,
    }))
    follow(meeting, producer, not paused)
  end
  return { 'ok', 1 }
end

local function close_producer(_, args)
  local meeting, producer = args[1], producer_of(args[1], args[2])
  if not producer or (args[3] ~= '' and producer.participant_id ~= args[3]) then
    return { 'ok', 0 }
  end
  close(meeting, producer, args[4])
  follow(meeting, producer, false)
  return { 'ok', 1 }
end

local function restore(_, args)
  local meeting, participant = args[1], cjson.decode(args[2])
  if is_over(meeting) then
    return { 'ended' }
  end
  local known = participant_of(meeting, participant.id)
  if known and known.session ~= participant.session then
    return { 'ok', 0 }
  end
  present_until(meeting, participant.id, now_ms() + args[3])
  if not known then
    publish_joined(meeting, store_participant(meeting, participant))
  end
  local home_unknown = not home_of(meeting)
  for i = 6, #args do
    local producer = cjson.decode(args[i])
    local field = producer.participant_id .. '/' .. producer.source
    local free = call('HEXISTS', 'kcs:sources:' .. meeting, field) == 0
    if free and (home_unknown or is_current(meeting, args[4], args[5])) then
      open(meeting, producer)
    end
  end
  return { 'ok', 1 }
end

redis.register_function('kcs_open_producer', open_producer)
redis.register_function('kcs_pause_producer', pause_producer)
redis.register_function('kcs_close_producer', close_producer)
redis.register_function('kcs_restore', restore)

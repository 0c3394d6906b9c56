-- What people send; and putting people back with what they send.

-- A meeting that is moving has two planes, each with its producers: the home's, and those that
-- are at the next home already. While it moves, what people see of each other is the home's.
local HOME, NEXT = '', 'next_'

local function producers_key(meeting, plane)
  return 'kcs:' .. (plane or HOME) .. 'producers:' .. meeting
end

local function sources_key(meeting, plane)
  return 'kcs:' .. (plane or HOME) .. 'sources:' .. meeting
end

local function producer_of(meeting, id, plane)
  local found = call('HGET', producers_key(meeting, plane), id)
  return found and cjson.decode(found)
end

-- The producer, and on which plane it is.
local function find_producer(meeting, id)
  for _, plane in ipairs({ HOME, NEXT }) do
    local found = producer_of(meeting, id, plane)
    if found then
      return found, plane
    end
  end
end

local function source_of(meeting, producer, plane)
  local field = producer.participant_id .. '/' .. producer.source
  return call('HGET', sources_key(meeting, plane), field)
end

local function publish_stream(meeting, encoded, plane)
  if plane == NEXT then
    local epoch = call('HGET', 'kcs:home:' .. meeting, 'next_epoch')
    encoded = '{"type":"at_next","epoch":' .. epoch .. ',"event":' .. encoded .. '}'
  end
  publish(meeting, encoded)
end

-- One of the places for screens: two, or one where the settings say so.
local function take_screen(meeting, id)
  local key = 'kcs:screens:' .. meeting
  local places = settings_of(meeting).several_screens == false and 1 or 2
  if call('SISMEMBER', key, id) == 0 and call('SCARD', key) >= places then
    return false
  end
  call('SADD', key, id)
  return true
end

-- The flag goes by what is sent to the home, where it is sent there.
local function follow(meeting, producer, on, plane)
  if plane == NEXT and source_of(meeting, producer) then
    return
  end
  local participant, flag = participant_of(meeting, producer.participant_id), FLAGS[producer.source]
  if participant and flag then
    set_flag(meeting, participant, flag, on)
  end
end

local function store_producer(meeting, producer, plane)
  local encoded = cjson.encode(producer)
  call('HSET', producers_key(meeting, plane), producer.id, encoded)
  return encoded
end

local function open(meeting, producer, plane)
  local field = producer.participant_id .. '/' .. producer.source
  call('HSET', sources_key(meeting, plane), field, producer.id)
  local encoded = store_producer(meeting, producer, plane)
  publish_stream(meeting, '{"type":"producer_opened","producer":' .. encoded .. '}', plane)
end

local function close(meeting, producer, reason, plane)
  call('HDEL', producers_key(meeting, plane), producer.id)
  call('HDEL', sources_key(meeting, plane), producer.participant_id .. '/' .. producer.source)
  publish_stream(meeting, cjson.encode({
    type = 'producer_closed', producer_id = producer.id, source = producer.source,
    participant_id = producer.participant_id, reason = reason,
  }), plane)
end

local function is_current(meeting, epoch, generation)
  local home = home_of(meeting)
  return home and home.epoch == tonumber(epoch) and home.generation == tonumber(generation)
end

local function plane_at(meeting, epoch, generation)
  if is_current(meeting, epoch, generation) then
    return HOME
  end
  local next_home = next_of(meeting)
  local is_next = next_home and next_home.epoch == tonumber(epoch)
    and next_home.generation == tonumber(generation)
  return is_next and NEXT or nil
end

-- Arguments: meeting, producer, epoch, generation, and the roles that may send it. Nobody is asked
-- for theirs where none is named, as replicas of version 4 do.
local function open_producer(_, args)
  local meeting, producer = args[1], cjson.decode(args[2])
  local participant = participant_of(meeting, producer.participant_id)
  if not participant then
    return { 'absent' }
  end
  local may = #args < 5
  for i = 5, #args do
    may = may or args[i] == participant.role
  end
  if not may then
    return { 'role' }
  end
  producer.paused = producer.paused or is_held(participant, FLAGS[producer.source])
  local plane = plane_at(meeting, args[3], args[4])
  if not plane then
    return { 'stale' }
  end
  if producer_of(meeting, producer.id, plane) then
    return { 'ok', '' }
  end
  local screen = producer.source == 'screen'
  if screen and not take_screen(meeting, producer.participant_id) then
    return { 'screens' }
  end
  local older = source_of(meeting, producer, plane)
  if older then
    close(meeting, producer_of(meeting, older, plane), 'closed', plane)
  end
  open(meeting, producer, plane)
  follow(meeting, producer, screen or not producer.paused, plane)
  return { 'ok', older or '' }
end

local function pause(meeting, producer, paused, plane)
  local participant = participant_of(meeting, producer.participant_id)
  paused = paused or is_held(participant, FLAGS[producer.source])
  if producer.paused == paused then
    return
  end
  producer.paused = paused
  store_producer(meeting, producer, plane)
  publish_stream(meeting, cjson.encode({
    type = 'producer_paused', producer_id = producer.id,
    participant_id = producer.participant_id, paused = paused,
  }), plane)
  if producer.source ~= 'screen' then -- a screen that stands still is shared all the same
    follow(meeting, producer, not paused, plane)
  end
end

local function pause_producer(_, args)
  local producer, plane = find_producer(args[1], args[2])
  if not producer or producer.participant_id ~= args[3] then
    return { 'ok', 0 }
  end
  pause(args[1], producer, args[4] == '1', plane)
  return { 'ok', 1 }
end

local function close_producer(_, args)
  local meeting = args[1]
  local producer, plane = find_producer(meeting, args[2])
  if not producer or (args[3] ~= '' and producer.participant_id ~= args[3]) then
    return { 'ok', 0 }
  end
  close(meeting, producer, args[4], plane)
  if producer.source == 'screen' and not (plane == NEXT and source_of(meeting, producer)) then
    call('SREM', 'kcs:screens:' .. meeting, producer.participant_id)
  end
  follow(meeting, producer, false, plane)
  return { 'ok', 1 }
end

local function put_back(meeting, participant)
  publish_joined(meeting, participant, store_participant(meeting, participant))
  if participant.screen_sharing then
    call('SADD', 'kcs:screens:' .. meeting, participant.id)
  end
end

-- Whether the breakout room was closed meanwhile, and they are on their way back from it; what
-- held in the room, `args` as of begin_live, is gone from Redis with it.
local function was_called_back(meeting, id, args, from, upto)
  for i = from, upto, 2 do
    if args[i] == 'parent' then
      return call('HGET', 'kcs:inside:' .. cjson.decode(args[i + 1]), id) == meeting
    end
  end
end

-- Arguments: meeting, participant, presence in ms, epoch, generation, how many texts of pairs of
-- what holds in the meeting, those, and the producers. Replicas of version 1 tell no number.
local function restore(_, args)
  local meeting, participant, producers = args[1], cjson.decode(args[2]), {}
  local texts = tonumber(args[6])
  local producers_from = texts and 7 + texts or 6
  for i = producers_from, #args do
    producers[#producers + 1] = cjson.decode(args[i])
  end
  if is_over(meeting) then
    return { 'ended' }
  end
  local known, queued = participant_of(meeting, participant.id), waiting_of(meeting, participant.id)
  if queued or (known and known.session ~= participant.session) then
    return { 'ok', 0 }
  end
  if not known and was_called_back(meeting, participant.id, args, 7, producers_from - 1) then
    return { 'locked' }
  end
  begin_live(meeting, args, 7, producers_from - 1)
  keep(meeting)
  follow_main(meeting)
  if not known and was_removed(meeting, participant.id) then
    return { 'removed' }
  end
  present_until(meeting, participant.id, now_ms() + args[3])
  if not known then
    put_back(meeting, participant)
  end
  local home_unknown = not home_of(meeting)
  for _, producer in ipairs(producers) do
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

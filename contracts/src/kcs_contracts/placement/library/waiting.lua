-- Who waits to be let in, and what hosts do about people.

local function waiting_of(meeting, id)
  local found = call('HGET', 'kcs:waiting:' .. meeting, id)
  return found and cjson.decode(found)
end

local function waits(meeting, id, session)
  local found = waiting_of(meeting, id)
  return found and found.session == session
end

-- That session speaks for the participant, or for somebody who waits.
local function speaks(meeting, id, session)
  return spoken_for(meeting, id, session) or waits(meeting, id, session)
end

-- A host saw them at the door: they come in now, whether the meeting is locked or not.
local function let_in(meeting, id)
  call('SADD', 'kcs:let_in:' .. meeting, id)
  call('PEXPIRE', 'kcs:let_in:' .. meeting, LET_IN_FOR)
end

local function was_let_in(meeting, id)
  return call('SISMEMBER', 'kcs:let_in:' .. meeting, id) == 1
end

local function end_waiting(meeting, id, outcome, note)
  call('HDEL', 'kcs:waiting:' .. meeting, id)
  call('ZREM', 'kcs:presence', meeting .. '/' .. id)
  publish(meeting, cjson.encode({
    type = 'waiting_left', participant_id = id, outcome = outcome, note = note or '',
  }))
  if call('HLEN', 'kcs:waiting:' .. meeting) == 0 then
    keep(meeting)
    begin_idle(meeting)
  end
end

local function wait(meeting, new, now, presence_ms)
  local known = waiting_of(meeting, new.id)
  if not known and call('HLEN', 'kcs:waiting:' .. meeting) >= MAX_WAITING then
    return { 'full' }
  end
  present_until(meeting, new.id, now + presence_ms)
  if known and known.session == new.session and known.display_name == new.display_name then
    return { 'waiting', call('HGET', 'kcs:home:' .. meeting, 'version') }
  end
  local person = {
    id = new.id, display_name = new.display_name, session = new.session,
    since_ms = known and known.since_ms or now,
  }
  local encoded = cjson.encode(person)
  call('HSET', 'kcs:waiting:' .. meeting, new.id, encoded)
  local version = publish(meeting, '{"type":"waiting_joined","person":' .. encoded .. '}')
  keep(meeting)
  return { 'waiting', text(version) }
end

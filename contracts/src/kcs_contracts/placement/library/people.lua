-- A participant: where it is kept, and how a change of one is told.

local KEPT_OF_PERSON = {
  'audio_enabled', 'video_enabled', 'screen_sharing', 'hand_raised_at_ms', 'audio_muted',
  'video_muted', 'quality',
}

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

-- The main meeting hears who is in its breakout rooms.
local function publish_moved(main, participant, room, inside)
  publish(main, cjson.encode({
    type = 'breakout_moved', participant_id = participant.id,
    display_name = participant.display_name, room_id = room, inside = inside,
  }))
  keep(main)
end

local function is_inside(main, id)
  return call('HEXISTS', 'kcs:inside:' .. main, id) == 1
end

local function move_in(room, participant)
  local main = live(room, 'parent')
  if main and not is_over(main) then
    call('HSET', 'kcs:inside:' .. main, participant.id, room)
    publish_moved(main, participant, room, true)
  end
end

-- Out of the room, if they are there and nowhere else by now.
local function move_out(main, participant, room)
  local key = 'kcs:inside:' .. main
  if call('HGET', key, participant.id) == room then
    call('HDEL', key, participant.id)
    publish_moved(main, participant, room, false)
  end
end

local function publish_joined(meeting, participant, encoded)
  local count = text(count_of(meeting))
  local event = '{"type":"participant_joined","participant":' .. encoded .. ',"count":' .. count .. '}'
  local version = publish(meeting, event)
  keep(meeting)
  not_gone(meeting, { participant.id })
  move_in(meeting, participant)
  return version
end

-- One thing about a participant becomes another; `more` is what else the event says.
local function change(meeting, participant, what, value, more)
  participant[what] = value
  local event = more or {}
  event.type, event.what, event.participant = 'participant_changed', what, participant
  store_participant(meeting, participant)
  return publish(meeting, cjson.encode(event))
end

-- Where in the meeting somebody is: in the main one, in a breakout room, or, on the way from one to
-- the other, in both. `meeting` may be any of them.
local function places_of(meeting, id)
  local main, found, seen = main_of(meeting), {}, {}
  local room = call('HGET', 'kcs:inside:' .. main, id) or main
  for _, place in ipairs({ main, room, meeting }) do
    if not seen[place] and participant_of(place, id) then
      found[#found + 1], seen[place] = place, true
    end
  end
  return found
end

-- Who goes muted comes back muted: else leaving would be a way around it.
local function keep_mutes(meeting, people)
  local main, marks = main_of(meeting), {}
  for _, person in ipairs(people) do
    for _, kind in pairs(KINDS) do
      local mark = 'muted_' .. kind .. ':' .. person.id
      if person[kind .. '_muted'] == true then
        marks[#marks + 1], marks[#marks + 2] = mark, 'true'
      else
        set_live(main, mark, nil)
      end
    end
  end
  set_marks(main, marks)
end

-- As they are elsewhere in the meeting, or as they went.
local function mute_as_before(meeting, participant)
  local main, place = main_of(meeting), places_of(meeting, participant.id)[1]
  local there = place and participant_of(place, participant.id)
  for _, kind in pairs(KINDS) do
    local muted = kind .. '_muted'
    if there then
      participant[muted] = there[muted] == true
    else
      participant[muted] = marked(main, 'muted_' .. kind, participant.id)
    end
  end
end

-- Whether a host muted what that flag shows: it stays off, whatever is under way.
local function is_held(participant, flag)
  local kind = participant and KINDS[flag]
  return kind ~= nil and participant[kind .. '_muted'] == true
end

local function set_flag(meeting, participant, flag, on)
  on = on and not is_held(participant, flag)
  if participant[flag] == on then
    return
  end
  if not KINDS[flag] then
    change(meeting, participant, flag, on)
    return
  end
  participant[flag] = on
  store_participant(meeting, participant)
  publish(meeting, cjson.encode({
    type = 'media_toggled', participant_id = participant.id, kind = KINDS[flag], enabled = on,
  }))
end

register_reading('kcs_person', function(_, args)
  local meeting, id = args[1], args[2]
  local place = places_of(meeting, id)[1]
  local found = place and call('HGET', 'kcs:people:' .. place, id) or ''
  return { 'ok', found, given_role(meeting, id) or '', was_removed(meeting, id) and 1 or 0 }
end)

local function leads(role)
  return role == 'host' or role == 'co_host'
end

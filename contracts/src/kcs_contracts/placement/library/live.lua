-- What holds in a running meeting: kcs:live:<meeting>, field -> JSON (kcs_contracts.live).
--
-- Beside the fields: removed:<id> (when, in ms), admitted:<id> (marks), role:<id> (given by a host
-- here), and muted_audio:<id>, muted_video:<id> of those who went so. Marks are the main meeting's:
-- a breakout room has none.
-- A breakout room's of_main is the main meeting's breakouts: its people are not in that one.

local function set_live(meeting, field, value, by)
  local now = call('HGET', 'kcs:live:' .. meeting, field) or nil
  local is_mark = string.find(field, ':', 1, true)
  local is_full = is_mark and call('HLEN', 'kcs:live:' .. meeting) >= MAX_LIVE
  if now == value or (value and not now and is_full) then
    return
  end
  if value then
    call('HSET', 'kcs:live:' .. meeting, field, value)
  else
    call('HDEL', 'kcs:live:' .. meeting, field)
  end
  publish(meeting, cjson.encode({
    type = 'room_changed', field = field, value = value or cjson.null, by = by or cjson.null,
  }))
  keep(meeting)
  local told = field == 'breakouts' and value and cjson.decode(value).rooms or {}
  for _, room in ipairs(told) do
    if call('HEXISTS', 'kcs:live:' .. room.id, 'parent') == 1 then
      set_live(room.id, 'of_main', value)
    end
  end
end

-- Which marks give way first, where there is no place for one that must not be refused. Whoever has
-- just been let in needs theirs: they are about to come in by it.
local GIVES_WAY = { admitted = 1, muted_video = 2, muted_audio = 3, removed = 4, role = 5 }
local GIVES_WAY_LAST = 6

-- What does the least harm is forgotten; of those who were removed, who was so first.
local function make_place(meeting, wanted)
  local missing = call('HLEN', 'kcs:live:' .. meeting) + wanted - MAX_LIVE
  if wanted == 0 or missing <= 0 then
    return
  end
  local flat, ranks, in_use = call('HGETALL', 'kcs:live:' .. meeting), {}, {}
  for _, id in ipairs(call('SMEMBERS', 'kcs:let_in:' .. meeting)) do
    in_use['admitted:' .. id] = GIVES_WAY_LAST
  end
  for i = 1, #flat, 2 do
    local rank = in_use[flat[i]] or GIVES_WAY[string.match(flat[i], '^[%l_]+')]
    if rank then
      ranks[rank] = ranks[rank] or {}
      table.insert(ranks[rank], { field = flat[i], at = tonumber(flat[i + 1]) or 0 })
    end
  end
  for rank = 1, GIVES_WAY_LAST do
    local marks = ranks[rank] or {}
    if missing > 0 and rank == GIVES_WAY.removed then -- sorting thousands takes its time
      table.sort(marks, function(one, other) return one.at < other.at end)
    end
    for i = 1, math.min(missing, #marks) do
      set_live(meeting, marks[i].field, nil)
    end
    missing = missing - #marks
  end
end

-- Marks that must not be refused, in pairs: where there is no place for them, others give way.
local function set_marks(meeting, marks, by)
  make_place(meeting, #marks / 2)
  for i = 1, #marks, 2 do
    set_live(meeting, marks[i], marks[i + 1], by)
  end
end

-- The meeting that has the marks of this one, which may be a breakout room of it.
local function main_of(meeting)
  local main = live(meeting, 'parent')
  return main and not is_over(main) and main or meeting
end

-- A breakout room learns what the main meeting says of the rooms, and whether it is logged in
-- detail; one that Redis lost learns it from the room.
local function follow_main(room)
  local main = live(room, 'parent')
  if not main or is_over(main) then
    return
  end
  local said = call('HGET', 'kcs:live:' .. main, 'breakouts')
  local kept = call('HGET', 'kcs:live:' .. room, 'of_main')
  if said then
    set_live(room, 'of_main', said)
  elseif kept then
    set_live(main, 'breakouts', kept)
  end
  local detailed = call('HGET', 'kcs:live:' .. main, 'debug_until_ms')
  if detailed or said then
    set_live(room, 'debug_until_ms', detailed or nil)
  end
end

local function marked(meeting, mark, id)
  return call('HEXISTS', 'kcs:live:' .. meeting, mark .. ':' .. id) == 1
end

-- By a host of the meeting, or of the one that this is a breakout room of.
local function was_removed(meeting, id)
  return marked(main_of(meeting), 'removed', id)
end

local function given_role(meeting, id)
  return live(main_of(meeting), 'role:' .. id)
end

-- Where nobody has said anything yet, what the records say; in pairs. The record itself is the
-- last that was told.
local function begin_live(meeting, args, from, upto)
  for i = from, upto, 2 do
    local field = args[i]
    if field == 'record' or call('HEXISTS', 'kcs:live:' .. meeting, field) == 0 then
      set_live(meeting, field, args[i + 1])
    end
  end
end

-- Arguments: meeting, field, value ('' for none), by, and, if it must still be so, the old value.
local function change_live(_, args)
  local meeting, field = args[1], args[2]
  if is_over(meeting) then
    return { 'ended' }
  end
  local now = call('HGET', 'kcs:live:' .. meeting, field) or ''
  if args[5] and now ~= args[5] then
    return { 'ok', now == args[3] and 1 or 0 } -- it is so already: a call that was made twice
  end
  set_live(meeting, field, args[3] ~= '' and args[3] or nil, args[4] ~= '' and args[4] or nil)
  return { 'ok', 1 }
end

local function read_live(_, args)
  return { 'ok', call('HGETALL', 'kcs:live:' .. args[1]) }
end

redis.register_function('kcs_change_live', change_live)
register_reading('kcs_live', read_live)

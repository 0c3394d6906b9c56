-- What lives on which node: what the operator counts and drains by.

-- The meetings of a node: those that it hosts, as it said in its last renewal, and those that it
-- was promised to and has not opened yet. A room that it still has of a meeting that moved away
-- is none of its meetings any more. One that is moving to it is, with nobody in it: people count
-- where they are.
local function meetings_on(name)
  local row = call('HMGET', 'kcs:node:' .. name, 'boot', 'hosted')
  local flat, seen = {}, {}
  local function add(meeting, home, people)
    if home and home.node == name and home.boot == row[1] then
      for _, value in ipairs({ meeting, text(home.epoch), people }) do
        flat[#flat + 1] = value
      end
    end
  end
  local function count(meeting)
    if not seen[meeting] then
      seen[meeting] = true
      add(meeting, home_of(meeting), count_of(meeting))
      add(meeting, next_of(meeting), 0)
    end
  end
  for meeting in string.gmatch(row[2] or '', '%S+') do
    count(meeting)
  end
  for _, meeting in ipairs(call('HKEYS', 'kcs:reserved:' .. name)) do
    count(meeting)
  end
  return flat
end

-- A list for each of the nodes: meeting, epoch, people, and again.
local function survey(_, args)
  local found = {}
  for i, name in ipairs(args) do
    found[i] = meetings_on(name)
  end
  return { 'ok', found }
end

-- Meetings that no node had room for lately, each with its people, pool and region. Argument: how
-- many ms ago at most.
local function unmet(_, args)
  local rows, flat, oldest = call('HGETALL', 'kcs:unmet'), {}, now_ms() - args[1]
  for i = 1, #rows, 2 do
    local people, at, pool, region = string.match(rows[i + 1], '^(%d+):(%d+):([^:]*):(.*)$')
    if tonumber(at) < oldest then
      call('HDEL', 'kcs:unmet', rows[i])
    else
      flat[#flat + 1] = { rows[i], people, pool, region }
    end
  end
  return { 'ok', flat }
end

-- How long ago this Redis was first seen empty, ms; nothing while it still is.
local function age()
  local since = call('GET', 'kcs:since')
  return since and { 'ok', now_ms() - since } or { 'ok' }
end

register_reading('kcs_survey', survey)
register_reading('kcs_age', age)
redis.register_function('kcs_unmet', unmet)

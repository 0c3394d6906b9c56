#!lua name=kcs
-- Placement in Redis: each function is one atomic change, published in the same step.
--
-- The files of this folder are one library, joined in the order that functions.py tells.
-- Callers: kcs_contracts.placement, by FCALL alone. A single Redis, not a cluster: the keys are
-- computed here. The time is Redis's; leases and graces come as lengths in ms.
--
--   kcs:pools           how meetings are placed on the nodes of a pool, by pool
--   kcs:unmet           meetings that no node had room for lately, so many at most:
--                       people:since:pool:region
--   kcs:since           when this Redis was first seen empty, ms
--   kcs:nodes           set of node names;   kcs:drained  set of names with a drain mark
--   kcs:node:<node>     hash boot url region capacity cpu consumers egress lease_until hosted
--   kcs:past:<node>     set of its boots that were replaced or released
--   kcs:reserved:<node> hash meeting -> "people:since", see reserved()
--   kcs:home:<meeting>  hash node boot url epoch generation expected version, pool (the one that it
--                       keeps to), last (the highest epoch given out), and while it moves next_node
--                       next_boot next_url next_epoch next_generation next_until
--   kcs:moves           sorted set of meetings that move, by when that ends, ms
--   kcs:people:<meeting>, kcs:producers:<meeting>   hash id -> JSON of rooms.Participant, Producer
--   kcs:sources:<meeting>                           hash "participant/source" -> producer id
--   kcs:next_producers:<meeting>, kcs:next_sources:<meeting>  the same at the next home
--   kcs:crossed:<meeting> set of those whose media is at the next home, see moving.lua
--   kcs:waiting:<meeting>                           hash id -> JSON of rooms.Waiting
--   kcs:let_in:<meeting> set of those whom a host has just let in from the queue
--   kcs:live:<meeting>  hash field -> JSON: what holds in it, see live.lua
--   kcs:screens:<meeting> set of those who share a screen
--   kcs:inside:<meeting>  hash id -> the breakout room that they are in
--   kcs:log:<meeting>   list of kept news, the newest first, see keep_news()
--   kcs:stats:<meeting> hash id -> JSON of what the client reported last
--   kcs:presence        sorted set "meeting/participant" by when the presence ends, ms
--   kcs:idle            sorted set of empty meetings by when they are to end, ms
--   kcs:gone, kcs:gone:<meeting>  whose media the node is still to close, see gone.lua
--   kcs:ended:<meeting> the mark that it is over
--   kcs:shut:<meeting>  the epoch in which a breakout room was closed: no node has it any more
--
-- cjson writes numbers with 14 digits: enough for ms since 1970 (13 digits until the year 2286),
-- which epochs, versions and joined_at_ms are. It cannot tell {} from []: nothing that is decoded
-- and encoded here has lists.
--
-- An answer is {"ok", ...} or {a word that says why not}.

local VERSION = 5

local HOUR = 3600 * 1000
local DAY = 24 * HOUR
local RESERVED_FOR = 15 * 60 * 1000
local PEOPLE_AT_LEAST = 15
local CONSUMERS_EACH = 10
local PACK_BELOW = 0.7
-- A meeting asks for no more of a node: where that is not enough for it, no other node would be.
local WHOLE = 0.9
local MAX_UNMET = 1000
local FULL_CPU = 0.75
local RETRY_S = 5
local MAX_WAITING = 1000
local MAX_LIVE = 5000
local KEPT_NEWS = 200
local KEPT_BYTES = 1024 * 1024
local KEPT_FOR = 2 * 60 * 1000
local LET_IN_FOR = 2 * 60 * 1000
local IDLE_MINUTES = 30
local BACK_WITHIN = 30 * 1000
local FLAGS = { mic = 'audio_enabled', camera = 'video_enabled', screen = 'screen_sharing' }
local SOURCES = { 'mic', 'camera', 'screen', 'screen_audio' }
local OF_A_MEETING = {
  'home', 'people', 'producers', 'sources', 'next_producers', 'next_sources', 'crossed',
  'waiting', 'live', 'screens', 'inside', 'log', 'stats',
  'gone', 'let_in',
}
local KINDS = { audio_enabled = 'audio', video_enabled = 'video' }

local function call(...) -- redis.call itself is not there yet while the library loads
  return redis.call(...)
end

local function now_ms()
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(integer)
  return string.format('%.0f', integer)
end

local function is_over(meeting)
  return call('EXISTS', 'kcs:ended:' .. meeting) == 1
end

local function count_of(meeting)
  return call('HLEN', 'kcs:people:' .. meeting)
end

-- What holds in the meeting; nil where nobody has said anything.
local function live(meeting, field)
  local found = call('HGET', 'kcs:live:' .. meeting, field)
  local value = found and cjson.decode(found)
  return value ~= cjson.null and value or nil
end

local function settings_of(meeting)
  return live(meeting, 'settings') or {}
end

-- Whoever waits to be let in is somebody, too.
local function is_empty(meeting)
  return count_of(meeting) == 0 and call('HLEN', 'kcs:inside:' .. meeting) == 0
    and call('HLEN', 'kcs:waiting:' .. meeting) == 0
end

-- An empty meeting is forgotten after a day; epochs and versions go on from the clock then. One
-- that is not empty is not idle.
local function keep(meeting)
  local empty = is_empty(meeting)
  for _, key in ipairs({ 'kcs:home:' .. meeting, 'kcs:live:' .. meeting }) do
    if empty then
      call('PEXPIRE', key, DAY)
    else
      call('PERSIST', key)
    end
  end
  if not empty then
    call('ZREM', 'kcs:idle', meeting)
  end
end

-- Nobody is left: it ends when that lasts as long as its settings say.
local function begin_idle(meeting)
  if is_empty(meeting) and not is_over(meeting) then
    local idle_ms = (settings_of(meeting).idle_minutes or IDLE_MINUTES) * 60000
    call('ZADD', 'kcs:idle', 'NX', text(now_ms() + idle_ms), meeting)
  end
end

-- What travels on the bus: events.Published.
local function message_of(meeting, version, event)
  local id = cjson.encode(meeting)
  return '{"meeting_id":' .. id .. ',"version":' .. text(version) .. ',"event":' .. event .. '}'
end

-- The first version is the time, so that a replica never takes what follows a flush for old.
local function publish(meeting, event)
  local home = 'kcs:home:' .. meeting
  if call('HEXISTS', home, 'version') == 0 then
    call('HSET', home, 'version', text(now_ms()))
  end
  local version = call('HINCRBY', home, 'version', 1)
  call('PUBLISH', 'kcs:bus:' .. meeting, message_of(meeting, version, event))
  return version
end

local function register_reading(name, callback)
  redis.register_function({ function_name = name, callback = callback, flags = { 'no-writes' } })
end

register_reading('kcs_version', function() return VERSION end)

#!lua name=kcs
-- Placement in Redis: each function is one atomic change, published in the same step.
--
-- The files of this folder are one library, joined in the order that functions.py tells.
-- Callers: kcs_contracts.placement, by FCALL alone. A single Redis, not a cluster: the keys are
-- computed here. The time is Redis's; leases and graces come as lengths in ms.
--
--   kcs:since           when this Redis was first seen empty, ms
--   kcs:nodes           set of node names;   kcs:drained  set of names with a drain mark
--   kcs:node:<node>     hash boot url region capacity cpu consumers egress lease_until
--   kcs:past:<node>     set of its boots that were replaced or released
--   kcs:reserved:<node> hash meeting -> "people:since", see reserved()
--   kcs:home:<meeting>  hash node boot url epoch generation expected version
--   kcs:people:<meeting>, kcs:producers:<meeting>   hash id -> JSON of rooms.Participant, Producer
--   kcs:sources:<meeting>                           hash "participant/source" -> producer id
--   kcs:presence        sorted set "meeting/participant" by when the presence ends, ms
--   kcs:ended:<meeting> the mark that it is over
--
-- cjson writes numbers with 14 digits: enough for ms since 1970 (13 digits until the year 2286),
-- which epochs, versions and joined_at_ms are. It cannot tell {} from []: nothing that passes
-- through it here has lists.
--
-- An answer is {"ok", ...} or {a word that says why not}.

local VERSION = 1

local HOUR = 3600 * 1000
local DAY = 24 * HOUR
local RESERVED_FOR = 15 * 60 * 1000
local PEOPLE_AT_LEAST = 15
local CONSUMERS_EACH = 10
local PACK_BELOW = 0.7
local FULL_CPU = 0.75
local RETRY_S = 5
local FLAGS = { mic = 'audio_enabled', camera = 'video_enabled', screen = 'screen_sharing' }
local SOURCES = { 'mic', 'camera', 'screen', 'screen_audio' }
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

-- An empty meeting is forgotten after a day; epochs and versions go on from the clock then.
local function keep(meeting)
  if count_of(meeting) == 0 then
    call('PEXPIRE', 'kcs:home:' .. meeting, DAY)
  else
    call('PERSIST', 'kcs:home:' .. meeting)
  end
end

-- The first version is the time, so that a replica never takes what follows a flush for old.
local function publish(meeting, event)
  local home = 'kcs:home:' .. meeting
  if call('HEXISTS', home, 'version') == 0 then
    call('HSET', home, 'version', text(now_ms()))
  end
  local version = call('HINCRBY', home, 'version', 1)
  local id = cjson.encode(meeting)
  local message = '{"meeting_id":' .. id .. ',"version":' .. text(version) .. ',"event":' .. event .. '}'
  call('PUBLISH', 'kcs:bus:' .. meeting, message)
  return version
end

local function register_reading(name, callback)
  redis.register_function({ function_name = name, callback = callback, flags = { 'no-writes' } })
end

register_reading('kcs_version', function() return VERSION end)

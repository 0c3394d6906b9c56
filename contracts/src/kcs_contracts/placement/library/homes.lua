-- Where a meeting lives, and where it is moving to: the planes of its media.
--
-- While it moves (see moving.lua) it has two homes. The next one changes nothing for whoever looks
-- at the home: people go on seeing each other there until the move is finished.

local function home_of(meeting)
  local row = call('HMGET', 'kcs:home:' .. meeting, 'node', 'boot', 'epoch', 'url', 'generation',
    'expected', 'last')
  if not row[1] then
    return nil
  end
  local epoch = tonumber(row[3])
  return {
    node = row[1], boot = row[2], epoch = epoch, url = row[4], generation = tonumber(row[5]),
    expected = tonumber(row[6]), last = math.max(epoch, tonumber(row[7] or 0)),
  }
end

local function next_of(meeting)
  local row = call('HMGET', 'kcs:home:' .. meeting, 'next_node', 'next_boot', 'next_epoch',
    'next_url', 'next_generation', 'next_until')
  return row[1] and {
    node = row[1], boot = row[2], epoch = tonumber(row[3]), url = row[4],
    generation = tonumber(row[5]), until_ms = tonumber(row[6]),
  } or nil
end

-- The pool that the meeting keeps to: the one in the wish, else that of its last home; '' is any,
-- and so is whatever it kept to once it goes anywhere.
local function pool_of(meeting, wish)
  if wish.anywhere then
    return ''
  end
  if wish.pool and wish.pool ~= '' then
    return wish.pool
  end
  return call('HGET', 'kcs:home:' .. meeting, 'pool') or ''
end

-- The region whose nodes come first: the one that is asked for, else the present home's.
local function region_of(home, asked)
  return asked ~= '' and asked or call('HGET', 'kcs:node:' .. home.node, 'region') or ''
end

local function answer(home)
  return { 'ok', home.node, home.boot, text(home.epoch), home.url }
end

-- No epoch is given out twice, also not one of a move that came to nothing.
local function store_home(meeting, home)
  local last = math.max(home.epoch, home.last or 0)
  call('HSET', 'kcs:home:' .. meeting, 'node', home.node, 'boot', home.boot, 'url', home.url,
    'epoch', text(home.epoch), 'generation', text(home.generation), 'expected', text(home.expected),
    'last', text(last))
  keep(meeting)
end

-- It does not move any more.
local function forget_next(meeting)
  local next_home = next_of(meeting)
  if not next_home then
    return
  end
  call('HDEL', 'kcs:reserved:' .. next_home.node, meeting)
  call('HDEL', 'kcs:home:' .. meeting, 'next_node', 'next_boot', 'next_epoch', 'next_url',
    'next_generation', 'next_until')
  call('DEL', 'kcs:next_producers:' .. meeting, 'kcs:next_sources:' .. meeting,
    'kcs:crossed:' .. meeting)
  call('ZREM', 'kcs:moves', meeting)
end

local function media_reset(meeting, home, reason)
  forget_next(meeting)
  call('DEL', 'kcs:producers:' .. meeting, 'kcs:sources:' .. meeting)
  publish(meeting, cjson.encode({
    type = 'media_reset', reason = reason, node = home.node,
    epoch = home.epoch, generation = home.generation,
  }))
end

-- The next home is the home now, with what is sent there.
local function finish_move(meeting, home, next_home)
  call('HDEL', 'kcs:reserved:' .. home.node, meeting)
  for _, kind in ipairs({ 'producers', 'sources' }) do
    local from, to = 'kcs:next_' .. kind .. ':' .. meeting, 'kcs:' .. kind .. ':' .. meeting
    call('DEL', to)
    if call('EXISTS', from) == 1 then
      call('RENAME', from, to)
    end
  end
  local gone = call('HGETALL', 'kcs:gone:' .. meeting) -- their media is to be closed here as well
  for i = 1, #gone, 2 do
    if gone[i + 1] == text(home.epoch) then
      call('HSET', 'kcs:gone:' .. meeting, gone[i], text(next_home.epoch))
    end
  end
  local promised = call('HGET', 'kcs:reserved:' .. next_home.node, meeting)
  forget_next(meeting)
  if promised then -- to those who have no load there yet
    call('HSET', 'kcs:reserved:' .. next_home.node, meeting, promised)
  end
  next_home.expected, next_home.last = home.expected, home.last
  store_home(meeting, next_home)
  publish(meeting, cjson.encode({
    type = 'media_moved', node = next_home.node, epoch = next_home.epoch,
    generation = next_home.generation,
  }))
  return next_home
end

-- Nothing has changed at the home, and nothing does.
local function abandon_move(meeting, next_home)
  forget_next(meeting)
  publish(meeting, cjson.encode({ type = 'move_abandoned', epoch = next_home.epoch }))
end

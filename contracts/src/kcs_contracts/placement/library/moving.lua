-- Moving a meeting that runs to another node, without a gap: make before break.
--
-- `migrate` gives it a second home. Those who understand it build their media there beside what
-- they have, and say so (`cross`); when all of them have, or when it has taken long enough,
-- `tend_moves` makes the second home the home (`finish_move`). Whoever has not crossed by then
-- builds anew, as after the loss of a node. If the second home dies, the move is abandoned.

-- Arguments: meeting, from node, from epoch, region, strategy, ring, how long it may take in ms,
-- how much longer for each ten people, and '1' where it keeps to no pool any more.
local function migrate(_, args)
  local meeting, now = args[1], now_ms()
  if is_over(meeting) then
    return { 'ended' }
  end
  local home, next_home = home_of(meeting), next_of(meeting)
  if not home or home.node ~= args[2] or home.epoch ~= tonumber(args[3]) then
    return { 'ok' }
  end
  if next_home and is_alive(next_home.node, next_home.boot, now) then
    return answer(next_home)
  end
  if next_home then
    abandon_move(meeting, next_home)
  end
  local wish = {
    region = region_of(home, args[4]), strategy = args[5], ring = tonumber(args[6]),
    anywhere = args[9] == '1',
  }
  local inside = count_of(meeting)
  if inside == 0 then
    return place(meeting, home, home.expected, wish, 'moved', now)
  end
  wish.pool = pool_of(meeting, wish)
  local people = math.max(home.expected, PEOPLE_AT_LEAST, inside)
  local node = choose(people, wish, home, now)
  if not node then
    return { 'no_capacity', RETRY_S }
  end
  local epoch = math.max(home.last + 1, now)
  local until_ms = now + args[7] + math.ceil(inside / 10) * args[8]
  call('HSET', 'kcs:home:' .. meeting, 'next_node', node.name, 'next_boot', node.boot, 'next_url',
    node.url, 'next_epoch', text(epoch), 'next_generation', '0', 'next_until', text(until_ms),
    'last', text(epoch), 'pool', wish.pool)
  call('ZADD', 'kcs:moves', text(until_ms), meeting)
  call('HSET', 'kcs:reserved:' .. node.name, meeting, text(people + inside) .. ':' .. text(now))
  publish(meeting, cjson.encode({
    type = 'media_migrating', node = node.name, epoch = epoch, generation = 0,
  }))
  return answer(next_of(meeting))
end

-- Arguments: meeting, the next home's epoch, and who.
local function cross(_, args)
  local meeting, next_home = args[1], next_of(args[1])
  if not next_home or next_home.epoch ~= tonumber(args[2]) then
    local home = home_of(meeting)
    return { home and home.epoch == tonumber(args[2]) and 'ok' or 'stale' }
  end
  for i = 3, #args do
    if call('HEXISTS', 'kcs:people:' .. meeting, args[i]) == 1 then
      call('SADD', 'kcs:crossed:' .. meeting, args[i])
    end
  end
  return { 'ok' }
end

local function all_crossed(meeting)
  local crossed = 'kcs:crossed:' .. meeting
  if call('SCARD', crossed) < count_of(meeting) then
    return false
  end
  for _, id in ipairs(call('HKEYS', 'kcs:people:' .. meeting)) do
    if call('SISMEMBER', crossed, id) == 0 then
      return false
    end
  end
  return true
end

-- Ends the moves that are over; answers them: meeting, what came of it, epoch.
local function tend_moves()
  local now, ended = now_ms(), {}
  for _, meeting in ipairs(call('ZRANGE', 'kcs:moves', 0, -1)) do
    local home, next_home = home_of(meeting), next_of(meeting)
    if not home or not next_home then
      call('ZREM', 'kcs:moves', meeting)
    elseif not is_alive(next_home.node, next_home.boot, now) then
      abandon_move(meeting, next_home)
      ended[#ended + 1] = { meeting, 'abandoned', text(next_home.epoch) }
    elseif now >= next_home.until_ms or all_crossed(meeting) then
      finish_move(meeting, home, next_home)
      ended[#ended + 1] = { meeting, 'moved', text(next_home.epoch) }
    end
  end
  return { 'ok', ended }
end

local function abandon(_, args)
  local next_home = next_of(args[1])
  if next_home and next_home.epoch == tonumber(args[2]) then
    abandon_move(args[1], next_home)
    return { 'ok', 1 }
  end
  return { 'ok', 0 }
end

-- The home, and the next one if it moves.
local function homes(_, args)
  local found = {}
  for _, home in ipairs({ home_of(args[1]) or nil, next_of(args[1]) }) do
    found[#found + 1] = { home.node, home.boot, text(home.epoch), home.url }
  end
  return { 'ok', found }
end

-- Which meetings move, and to where: meeting, node, epoch.
local function list_moves()
  local found = {}
  for _, meeting in ipairs(call('ZRANGE', 'kcs:moves', 0, -1)) do
    local next_home = next_of(meeting)
    if next_home then
      found[#found + 1] = { meeting, next_home.node, text(next_home.epoch) }
    end
  end
  return { 'ok', found }
end

redis.register_function('kcs_migrate', migrate)
redis.register_function('kcs_cross', cross)
redis.register_function('kcs_tend_moves', tend_moves)
redis.register_function('kcs_abandon_move', abandon)
register_reading('kcs_homes', homes)
register_reading('kcs_moves', list_moves)

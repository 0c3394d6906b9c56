-- A meeting's home, its end, and all of it at one version.

-- For whoever adds nodes (kcs_unmet); without an operator nobody asks, and it goes within the hour.
local function note_unmet(meeting, people, wish, now)
  if call('HLEN', 'kcs:unmet') < MAX_UNMET then
    local row = text(people) .. ':' .. text(now) .. ':' .. wish.pool .. ':' .. wish.region
    call('HSET', 'kcs:unmet', meeting, row)
    call('PEXPIRE', 'kcs:unmet', HOUR)
  end
end

-- Finds a node and moves the meeting there: the one that it was moving to anyhow, if that lives.
-- `home` is where it was, or nil.
local function place(meeting, home, expected, wish, reason, now)
  local next_home = home and next_of(meeting)
  if next_home and is_alive(next_home.node, next_home.boot, now) then
    return answer(finish_move(meeting, home, next_home))
  end
  wish.pool = pool_of(meeting, wish)
  local inside = count_of(meeting)
  local people = math.max(expected, PEOPLE_AT_LEAST, inside)
  local node = choose(people, wish, home, now)
  if not node then
    note_unmet(meeting, people, wish, now)
    return { 'no_capacity', RETRY_S }
  end
  call('HDEL', 'kcs:unmet', meeting)
  drop_reservation(meeting)
  forget_next(meeting)
  local epoch = math.max(home and home.last + 1 or 0, now)
  local new = {
    node = node.name, boot = node.boot, epoch = epoch, url = node.url,
    generation = 0, expected = expected,
  }
  store_home(meeting, new)
  call('HSET', 'kcs:home:' .. meeting, 'pool', wish.pool)
  -- those inside come again, to a node that has no load of theirs yet: they count as to come
  call('HSET', 'kcs:reserved:' .. node.name, meeting, text(people + inside) .. ':' .. text(now))
  if home then
    media_reset(meeting, new, reason)
  end
  return answer(new)
end

local function assign(_, args)
  local meeting, expected, now = args[1], tonumber(args[3]), now_ms()
  if is_over(meeting) then
    return { 'ended' }
  end
  call('SET', 'kcs:since', text(now), 'NX')
  local home = home_of(meeting)
  if home and is_alive(home.node, home.boot, now) then
    local drained = call('SISMEMBER', 'kcs:drained', home.node) == 1
    if not drained or count_of(meeting) > 0 then
      return answer(home)
    end
  end
  local warm_in = call('GET', 'kcs:since') + args[6] - now
  if not home and warm_in > 0 then
    return { 'warming', warm_in }
  end
  local wish = { region = args[2], strategy = args[4], ring = tonumber(args[5]), pool = args[7] }
  local reason = home and is_alive(home.node, home.boot, now) and 'moved' or 'node_lost'
  return place(meeting, home, expected, wish, reason, now)
end

local function assignment(_, args)
  local home = home_of(args[1])
  return home and answer(home) or { 'ok' }
end

local function evict(_, args)
  local meeting = args[1]
  if is_over(meeting) then
    return { 'ended' }
  end
  local home = home_of(meeting)
  if not home or home.node ~= args[2] or home.epoch ~= tonumber(args[3]) then
    return { 'ok' }
  end
  local wish = {
    region = region_of(home, args[5]), strategy = args[6], ring = tonumber(args[7]),
    anywhere = args[8] == '1',
  }
  return place(meeting, home, home.expected, wish, args[4], now_ms())
end

local function lost_meetings(_, args)
  local now, lost = now_ms(), {}
  for _, meeting in ipairs(args) do
    local home = home_of(meeting)
    if home and not is_alive(home.node, home.boot, now) then
      lost[#lost + 1] = { meeting, home.node, text(home.epoch) }
    end
  end
  return { 'ok', lost }
end

local function reset_media(_, args)
  local meeting, epoch, generation = args[1], tonumber(args[3]), tonumber(args[4])
  local home = home_of(meeting)
  if not home then
    return { 'ok' }
  end
  local next_home = next_of(meeting)
  if next_home and next_home.node == args[2] and next_home.epoch == epoch then
    abandon_move(meeting, next_home) -- what was made there is gone; what is at the home is not
    return { 'ok' }
  end
  if home.node ~= args[2] or home.epoch ~= epoch then
    return { 'stale' }
  end
  if generation > home.generation then
    home.generation = generation
    store_home(meeting, home)
    media_reset(meeting, home, args[5])
  end
  return { 'ok' }
end

local function end_for(meeting, reason)
  if is_over(meeting) then
    return false
  end
  for _, id in ipairs(call('HKEYS', 'kcs:people:' .. meeting)) do
    call('ZREM', 'kcs:presence', meeting .. '/' .. id)
  end
  for _, id in ipairs(call('HKEYS', 'kcs:waiting:' .. meeting)) do
    call('ZREM', 'kcs:presence', meeting .. '/' .. id)
  end
  local main = reason == 'breakout_closed' and live(meeting, 'parent') or nil
  local back = {}
  for _, encoded in ipairs(main and call('HVALS', 'kcs:people:' .. meeting) or {}) do
    back[#back + 1] = cjson.decode(encoded)
    local who = main .. '/' .. back[#back].id
    call('ZADD', 'kcs:presence', 'GT', text(now_ms() + BACK_WITHIN), who)
  end
  keep_mutes(meeting, back)
  local home = home_of(meeting)
  drop_reservation(meeting)
  publish(meeting, cjson.encode({ type = 'meeting_ended', reason = reason, return_to = main }))
  for _, kind in ipairs(OF_A_MEETING) do
    call('DEL', 'kcs:' .. kind .. ':' .. meeting)
  end
  call('ZREM', 'kcs:idle', meeting)
  call('ZREM', 'kcs:moves', meeting)
  call('ZREM', 'kcs:gone', meeting)
  if reason ~= 'breakout_closed' then -- a breakout room may open again
    call('SET', 'kcs:ended:' .. meeting, '1', 'PX', DAY)
    call('DEL', 'kcs:shut:' .. meeting)
  elseif home then
    call('SET', 'kcs:shut:' .. meeting, text(home.last), 'PX', DAY)
  end
  return true
end

local function end_meeting(_, args)
  return { 'ok', end_for(args[1], args[2]) and 1 or 0 }
end

-- Arguments: meeting, and 'next' by whoever knows that meetings move (replicas of version 2 do not).
local function snapshot(_, args)
  local meeting, home = args[1], home_of(args[1])
  local place_of = home and { home.node, home.boot, text(home.epoch), home.url } or {}
  local next_home = args[2] and next_of(meeting)
  local found = {
    'ok', call('HGET', 'kcs:home:' .. meeting, 'version') or '0',
    home and text(home.generation) or '0', place_of,
    call('HVALS', 'kcs:people:' .. meeting), call('HVALS', 'kcs:producers:' .. meeting),
    call('HVALS', 'kcs:waiting:' .. meeting), call('HGETALL', 'kcs:live:' .. meeting),
    call('HGETALL', 'kcs:inside:' .. meeting),
  }
  if next_home then
    found[#found + 1] = {
      next_home.node, next_home.boot, text(next_home.epoch), next_home.url,
      text(next_home.generation), call('HVALS', 'kcs:next_producers:' .. meeting),
    }
  end
  return found
end

-- An entry of the log: when it was published, its version, how many bytes the log has had with it,
-- and the message.
local NEWS = '^(%d+) (%d+) (%d+) (.*)$'

local function keep_news(meeting, version, message)
  local log, now = 'kcs:log:' .. meeting, now_ms()
  local _, _, before = string.match(call('LINDEX', log, 0) or '', NEWS)
  local bytes = (before or 0) + #message
  local entry = text(now) .. ' ' .. text(version) .. ' ' .. text(bytes) .. ' ' .. message
  call('LPUSH', log, entry)
  call('LTRIM', log, 0, KEPT_NEWS - 1)
  call('PEXPIRE', log, KEPT_FOR)
  while true do
    local at, _, upto = string.match(call('LINDEX', log, -1), NEWS)
    if now - at <= KEPT_FOR and bytes - upto <= KEPT_BYTES then
      return
    end
    call('RPOP', log)
  end
end

-- Arguments: meeting, and above which version. The newest first.
local function kept_news(_, args)
  local log, since, found = 'kcs:log:' .. args[1], tonumber(args[2]), {}
  local oldest = now_ms() - KEPT_FOR
  for _, entry in ipairs(call('LRANGE', log, 0, -1)) do
    local at, version, _, message = string.match(entry, NEWS)
    if tonumber(version) <= since or tonumber(at) < oldest then
      break
    end
    found[#found + 1] = message
  end
  return { 'ok', found }
end

-- Arguments: meeting, event, whether it is kept, and, by a node, the epoch of its room: it has
-- nothing to say of a meeting that lives elsewhere.
local function publish_news(_, args)
  local meeting, event, kept = args[1], args[2], args[3] == '1'
  if is_over(meeting) then
    return { 'ended' }
  end
  local home = args[4] and home_of(meeting)
  if home and home.epoch ~= tonumber(args[4]) then
    return { 'ok', '0' }
  end
  local version = publish(meeting, event)
  if kept then
    keep_news(meeting, version, message_of(meeting, version, event))
  end
  keep(meeting)
  return { 'ok', text(version) }
end

-- Empty meetings whose time is over; each is due again a minute later, should the caller fail.
local function idle_meetings(_, args)
  local now, due = now_ms(), {}
  local over = call('ZRANGEBYSCORE', 'kcs:idle', '-inf', text(now), 'LIMIT', 0, args[1])
  for _, meeting in ipairs(over) do
    if is_empty(meeting) then
      call('ZADD', 'kcs:idle', text(now + 60000), meeting)
      due[#due + 1] = meeting
    else
      call('ZREM', 'kcs:idle', meeting)
    end
  end
  return { 'ok', due }
end

register_reading('kcs_assignment', assignment)
register_reading('kcs_lost_meetings', lost_meetings)
register_reading('kcs_snapshot', snapshot)
register_reading('kcs_kept_news', kept_news)
redis.register_function('kcs_assign', assign)
redis.register_function('kcs_evict', evict)
redis.register_function('kcs_reset_media', reset_media)
redis.register_function('kcs_end', end_meeting)
redis.register_function('kcs_publish', publish_news)
redis.register_function('kcs_idle_meetings', idle_meetings)

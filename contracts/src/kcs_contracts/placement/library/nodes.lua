-- What a node and the operator call: lease, claims on meetings, drain marks.

-- Whether the breakout room was closed that the node still has, for it was not told.
local function is_shut(meeting, epoch)
  local shut = call('GET', 'kcs:shut:' .. meeting)
  return shut and epoch <= tonumber(shut)
end

-- What to think of a room that a node says it has; what Redis lost or knows less of is put right.
local OURS, MOVED, OVER = 1, 2, 3

local function confirm(meeting, claim)
  if is_over(meeting) or is_shut(meeting, claim.epoch) then
    return OVER
  end
  local home = home_of(meeting)
  if not home then
    store_home(meeting, claim)
    return OURS
  end
  if claim.epoch == home.epoch then
    if claim.node ~= home.node or claim.boot ~= home.boot then
      return MOVED
    end
    if claim.generation > home.generation then
      home.generation = claim.generation
      store_home(meeting, home)
      media_reset(meeting, home, 'worker_died')
    end
    return OURS
  end
  local next_home = next_of(meeting)
  if next_home and claim.epoch == next_home.epoch and claim.boot == next_home.boot then
    if claim.generation > next_home.generation then
      abandon_move(meeting, next_home)
      return MOVED
    end
    return OURS
  end
  if claim.epoch <= home.last then
    return MOVED
  end
  drop_reservation(meeting)
  claim.expected = home.expected
  store_home(meeting, claim)
  media_reset(meeting, claim, 'moved')
  return OURS
end

-- Answers whether the node has a drain mark, whether another has its name, and which of its rooms
-- are of meetings that are over, and of ones that live elsewhere.
local function hold_lease(args, pool, first_claim)
  local name, boot, now = args[1], args[2], now_ms()
  local key, past = 'kcs:node:' .. name, 'kcs:past:' .. name
  call('SET', 'kcs:since', text(now), 'NX')
  if call('SISMEMBER', past, boot) == 1 then
    return { 'ok', 0, 1, {}, {} }
  end
  local before = call('HGET', key, 'boot')
  if before and before ~= boot then
    call('SADD', past, before)
    call('PEXPIRE', past, DAY)
  end
  local lease, hosted = tonumber(args[9]), {}
  call('SADD', 'kcs:nodes', name)
  call('HSET', key, 'boot', boot, 'url', args[3], 'region', args[4], 'capacity', args[5],
    'cpu', args[6], 'consumers', args[7], 'egress', args[8], 'lease_until', text(now + lease),
    'pool', pool)
  local found = { [OVER] = {}, [MOVED] = {}, [OURS] = {} }
  for i = first_claim, #args, 3 do
    hosted[#hosted + 1] = args[i]
    local claim = {
      node = name, boot = boot, url = args[3], expected = 0,
      epoch = tonumber(args[i + 1]), generation = tonumber(args[i + 2]),
    }
    table.insert(found[confirm(args[i], claim)], args[i])
  end
  call('HSET', key, 'hosted', table.concat(hosted, ' '))
  call('PEXPIRE', key, lease + HOUR)
  return { 'ok', call('SISMEMBER', 'kcs:drained', name), 0, found[OVER], found[MOVED] }
end

local function renew_lease(_, args)
  return hold_lease(args, args[10], 11)
end

-- As nodes of version 2 call it, who close whatever is not theirs.
local function renew(_, args)
  local answer = hold_lease(args, '', 10)
  for _, meeting in ipairs(table.remove(answer)) do
    table.insert(answer[4], meeting)
  end
  return answer
end

local function release(_, args)
  local key, past = 'kcs:node:' .. args[1], 'kcs:past:' .. args[1]
  call('SADD', past, args[2])
  call('PEXPIRE', past, DAY)
  if call('HGET', key, 'boot') == args[2] then
    call('HSET', key, 'lease_until', '0')
  end
  return { 'ok' }
end

local function drain(_, args)
  call(args[2] == '1' and 'SADD' or 'SREM', 'kcs:drained', args[1])
  return { 'ok' }
end

local function list_nodes()
  local now, rows = now_ms(), {}
  for _, node in ipairs(all_nodes(now)) do
    rows[#rows + 1] = {
      node.name, node.boot, node.url, node.region, node.capacity, node.consumers,
      node.alive and 1 or 0, node.draining and 1 or 0,
      tostring(node.load), tostring(reserved(node, now)),
    }
  end
  return { 'ok', rows }
end

redis.register_function('kcs_renew', renew)
redis.register_function('kcs_renew_lease', renew_lease)
redis.register_function('kcs_release', release)
redis.register_function('kcs_drain', drain)
redis.register_function('kcs_nodes', list_nodes)

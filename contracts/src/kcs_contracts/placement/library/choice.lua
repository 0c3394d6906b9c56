-- Which node takes a meeting: who is alive, how loaded, what is promised already.

local NODE = { 'boot', 'url', 'region', 'capacity', 'cpu', 'consumers', 'egress', 'lease_until', 'pool' }

local function node_of(name, now, drained)
  local row = call('HMGET', 'kcs:node:' .. name, unpack(NODE))
  if not row[1] then
    return nil
  end
  local capacity, consumers = tonumber(row[4]), tonumber(row[6])
  return { -- all fields at once: a table that grows is laid out anew, for each node of each choice
    name = name, boot = row[1], url = row[2], region = row[3], pool = row[9] or '',
    capacity = capacity, consumers = consumers,
    load = math.max(row[5] / FULL_CPU, consumers / capacity, row[7]),
    alive = row[8] - now > 0, draining = drained[name] == true, after = 0,
  }
end

local function is_alive(name, boot, now)
  local row = call('HMGET', 'kcs:node:' .. name, 'boot', 'lease_until')
  return row[1] == boot and tonumber(row[2]) > now
end

-- All known nodes by name, so that ties are always broken alike.
local function all_nodes(now)
  local names, drained, found = call('SMEMBERS', 'kcs:nodes'), {}, {}
  for _, name in ipairs(call('SMEMBERS', 'kcs:drained')) do
    drained[name] = true
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local node = node_of(name, now, drained)
    if node then
      found[#found + 1] = node
    else
      call('SREM', 'kcs:nodes', name)
      call('SREM', 'kcs:drained', name)
      call('DEL', 'kcs:reserved:' .. name)
    end
  end
  return found
end

-- Load promised to meetings whose people have not come yet: what was reserved at the assignment,
-- falling to nothing within 15 minutes, less those who are in.
local function reserved(node, now)
  local key, sum = 'kcs:reserved:' .. node.name, 0
  local rows = call('HGETALL', key)
  for i = 1, #rows, 2 do
    local people, since = string.match(rows[i + 1], '^(%d+):(%d+)$')
    local left = 1 - (now - since) / RESERVED_FOR
    if left <= 0 then
      call('HDEL', key, rows[i])
    else
      sum = sum + math.max(0, people * left - count_of(rows[i]))
    end
  end
  return sum * CONSUMERS_EACH / node.capacity
end

local function drop_reservation(meeting)
  for _, node in ipairs(call('HMGET', 'kcs:home:' .. meeting, 'node', 'next_node')) do
    if node then
      call('HDEL', 'kcs:reserved:' .. node, meeting)
    end
  end
end

local function has_room(node)
  return node.after <= 1 + 1e-9
end

local function best(nodes, strategy, ring)
  if strategy == 'consistent_hash' then
    for step = 0, #nodes - 1 do
      local node = nodes[(ring + step) % #nodes + 1]
      if has_room(node) then
        return node
      end
    end
    return nil
  end
  local fullest, emptiest
  for _, node in ipairs(nodes) do
    if has_room(node) then
      if not emptiest or node.after < emptiest.after then
        emptiest = node
      end
      if node.after <= PACK_BELOW and (not fullest or node.after > fullest.after) then
        fullest = node
      end
    end
  end
  return strategy == 'packed' and fullest or emptiest
end

-- The node for a meeting of so many people; never its present home, if it has one. `wish.pool` keeps
-- to a pool; without a strategy in the wish, that of the nodes' pool holds (kcs:pools).
local function choose(people, wish, home, now)
  local near, all = {}, {}
  for _, node in ipairs(all_nodes(now)) do
    local is_home = home and home.node == node.name and home.boot == node.boot
    local fits = wish.pool == '' or node.pool == wish.pool
    if node.alive and not node.draining and not is_home and fits then
      node.after = node.load + reserved(node, now) + math.min(people * CONSUMERS_EACH / node.capacity, WHOLE)
      all[#all + 1] = node
      if node.region == wish.region then
        near[#near + 1] = node
      end
    end
  end
  for _, nodes in ipairs({ near, all }) do
    local strategy = wish.strategy
    if strategy == '' and nodes[1] then
      strategy = call('HGET', 'kcs:pools', nodes[1].pool) or 'packed'
    end
    local node = best(nodes, strategy, wish.ring)
    if node then
      return node
    end
  end
  return nil
end

-- Who is out of a meeting while its node may still have their media: the node is asked to close
-- that until it says that it did, whoever dies in between. Once the meeting has another home, the
-- old one closes all of it by itself.
--
--   kcs:gone            sorted set of such meetings by when their nodes are to be asked, ms
--   kcs:gone:<meeting>  hash id -> epoch, and how often the node was asked in vain

local IN_VAIN = ' ' -- no participant's id
local ASK_FIRST = 250 -- whoever takes somebody out asks at once, and mostly has an answer by then
local ASK_AT_LEAST_EACH = 5000

local function note_gone(meeting, id)
  local home, key = home_of(meeting), 'kcs:gone:' .. meeting
  if home then
    call('HSET', key, id, text(home.epoch))
    call('HDEL', key, IN_VAIN)
    call('PEXPIRE', key, DAY)
    call('ZADD', 'kcs:gone', 'LT', text(now_ms() + ASK_FIRST), meeting)
  end
end

-- They are here again, or their media is closed.
local function not_gone(meeting, ids)
  local key = 'kcs:gone:' .. meeting
  call('HDEL', key, unpack(ids))
  if call('HLEN', key) - call('HEXISTS', key, IN_VAIN) <= 0 then
    call('DEL', key)
    call('ZREM', 'kcs:gone', meeting)
  end
end

local function gone_from(meeting)
  local key, home, ids = 'kcs:gone:' .. meeting, home_of(meeting), {}
  local epochs = call('HGETALL', key)
  for i = 1, #epochs, 2 do
    if epochs[i] ~= IN_VAIN and home and tonumber(epochs[i + 1]) == home.epoch then
      ids[#ids + 1] = epochs[i]
    elseif epochs[i] ~= IN_VAIN then
      call('HDEL', key, epochs[i])
    end
  end
  return ids
end

-- Those whose nodes are to be asked now; who is answered is due again a little later, and less and
-- less often.
local function take_gone(_, args)
  local now, due = now_ms(), {}
  for _, meeting in ipairs(
    call('ZRANGEBYSCORE', 'kcs:gone', '-inf', text(now), 'LIMIT', 0, args[1])
  ) do
    local ids = gone_from(meeting)
    if #ids > 0 then
      local again = ASK_FIRST * 2 ^ call('HINCRBY', 'kcs:gone:' .. meeting, IN_VAIN, 1)
      local due_at = now + math.min(again, ASK_AT_LEAST_EACH)
      call('ZADD', 'kcs:gone', text(due_at), meeting)
      due[#due + 1] = { meeting, ids }
    else
      call('DEL', 'kcs:gone:' .. meeting)
      call('ZREM', 'kcs:gone', meeting)
    end
  end
  return { 'ok', due }
end

-- While the meeting moves, they may have media at its next home, too: whoever asks again once it
-- has moved closes that.
local function closed(_, args)
  if not next_of(args[1]) then
    not_gone(args[1], { unpack(args, 2) })
  end
  return { 'ok' }
end

redis.register_function('kcs_take_gone', take_gone)
redis.register_function('kcs_closed', closed)

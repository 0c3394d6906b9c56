-- How often something may be done: buckets that fill as it is done and leak evenly (GCRA).
--
--   kcs:limit:<bucket>  "owed:at": what was owed at that ms; gone when nothing is owed any more
--
-- Owed is counted so that all of it is integers: a token costs the period in ms, each ms pays
-- as many as the burst, and a burst of tokens may be owed. Below 2^53 doubles are exact.

local function owed_now(key, most, burst, now)
  local owed, at = string.match(call('GET', key) or '', '^(%d+):(%d+)$')
  if not owed then
    return 0
  end
  -- A limit that was changed meanwhile, or a clock that went back, makes nobody owe more.
  return math.min(most, math.max(0, owed - math.max(0, now - at) * burst))
end

-- Arguments: bucket, burst, period in ms, tokens; and again. No bucket comes twice.
-- {"spent", which, ms}: nothing was taken; that one (from 1) keeps the caller waiting longest.
local function take(_, args)
  local now, after, which, longest = now_ms(), {}, 0, 0
  for i = 1, #args, 4 do
    local burst, period = tonumber(args[i + 1]), tonumber(args[i + 2])
    local key, most = 'kcs:limit:' .. args[i], burst * period
    local owed = owed_now(key, most, burst, now) + args[i + 3] * period
    local wait = math.ceil((owed - most) / burst)
    if wait > longest then
      which, longest = (i + 3) / 4, wait
    end
    after[#after + 1] = { key = key, owed = owed, lasts = math.ceil(owed / burst) }
  end
  if which > 0 then
    return { 'spent', which, longest }
  end
  for _, bucket in ipairs(after) do
    call('SET', bucket.key, text(bucket.owed) .. ':' .. text(now), 'PX', text(bucket.lasts))
  end
  return { 'ok' }
end

redis.register_function('kcs_take', take)

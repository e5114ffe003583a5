-- One decision over the limits of one key: all of them admit, or none is charged.
--
-- KEYS     the state of each limit, all in one slot
-- ARGV[1]  doubles: tokens; 1 to take or 0 to look; then for each limit its kind and six numbers
-- answer   text: 1 if all admit, then three numbers for each limit, as it was before anything was taken
--
-- Time is the server's, in microseconds. Every number stays below 2^53, where doubles are exact.

local reading = redis.call('TIME')
local now = tonumber(reading[1]) * 1000000 + tonumber(reading[2])
local arguments = { struct.unpack('<' .. string.rep('d', #ARGV[1] / 8), ARGV[1]) }
local tokens, takes = arguments[1], arguments[2] == 1

-- A bucket is the moment at which it will be full again: microseconds, and a rest in parts of the rate's numerator.
-- Settings: what these tokens cost and the capacity, each as microseconds and rest; the rate's numerator and denominator.
local function look_at_bucket(key, cost, cost_rest, capacity, capacity_rest, parts, per)
  local debt, rest = 0, 0
  local function owe(more, more_rest)
    redis.call('SET', key, struct.pack('<dddd', now + more, more_rest, parts, per), 'PX', math.floor(more / 1000) + 1)
  end
  local state = redis.call('GET', key)
  if state then
    local at, left, then_parts, then_per = struct.unpack('<dddd', state)
    debt, rest = at - now, left
    if debt < 0 then
      debt, rest = 0, 0
    elseif then_parts ~= parts or then_per ~= per then
      -- The rate has changed: owed are the same tokens, which now take another time to earn.
      debt = math.ceil((debt + rest / then_parts) * (then_parts / then_per) * (per / parts))
      rest = 0
    end
    -- More than a whole bucket is owed only if the clock was set back or the burst made smaller.
    if debt > capacity or (debt == capacity and rest > capacity_rest) then
      debt, rest = capacity, capacity_rest
      owe(debt, rest)
    end
  end
  local after, after_rest = debt + cost, rest + cost_rest
  if after_rest >= parts then
    after, after_rest = after + 1, after_rest - parts
  end
  local admits = after < capacity or (after == capacity and after_rest <= capacity_rest)
  return admits, debt, rest, 0, function()
    owe(after, after_rest)
  end
end

-- A log is a list: the tokens in all that count, then the entries, the oldest first, each a moment and its tokens.
-- Settings: the limit; the window in microseconds.
local function look_at_log(key, limit, window)
  local head = redis.call('LRANGE', key, 0, 2)
  local used = tonumber(head[1] or 0)
  local newest = tonumber(redis.call('LINDEX', key, -2) or now)
  if newest > now then
    -- The clock was set back: what came later than now counts from now.
    local entries = redis.call('LRANGE', key, 1, -1)
    for index = #entries - 1, 1, -2 do
      if tonumber(entries[index]) <= now then
        break
      end
      redis.call('LSET', key, index, now)
    end
    newest = now
  end
  if head[2] and tonumber(head[2]) <= now - window then
    local gone, entries = 0, nil
    repeat
      local before = gone
      entries = redis.call('LRANGE', key, 1 + gone, 128 + gone)
      for index = 1, #entries, 2 do
        if tonumber(entries[index]) > now - window then
          break
        end
        used = used - tonumber(entries[index + 1])
        gone = gone + 2
      end
    until gone < before + 128
    redis.call('LTRIM', key, 1 + gone, -1)
    if used > 0 then
      redis.call('LPUSH', key, used)
    end
  end
  local missing, at, wait = used + tokens - limit, 1, 0
  while missing > 0 do
    local entries = redis.call('LRANGE', key, at, at + 63)
    if #entries == 0 then
      break
    end
    for index = 1, #entries, 2 do
      missing = missing - tonumber(entries[index + 1])
      if missing <= 0 then
        wait = tonumber(entries[index]) + window - now
        break
      end
    end
    at = at + 64
  end
  local reset = used > 0 and newest + window - now or 0
  return used + tokens <= limit, used, wait, reset, function()
    if used == 0 then
      redis.call('RPUSH', key, tokens, now, tokens)
    else
      redis.call('LSET', key, 0, used + tokens)
      redis.call('RPUSH', key, now, tokens)
    end
    redis.call('PEXPIRE', key, math.floor(window / 1000) + 1)
  end
end

-- An estimate is a window's number, what was admitted in it and in the one before, and the window's length.
-- Settings: the limit; the window in ticks; microseconds in a tick.
local function look_at_estimate(key, limit, window, tick)
  local ticks = math.floor(now / tick)
  local number = math.floor(ticks / window)
  local left = (number + 1) * window - ticks
  local current, before = 0, 0
  local function count(here, there)
    local state = struct.pack('<dddd', number, here, there, window * tick)
    redis.call('SET', key, state, 'PX', math.floor((left + window) * tick / 1000) + 1)
  end
  local state = redis.call('GET', key)
  if state then
    local at, here, there, length = struct.unpack('<dddd', state)
    if length ~= window * tick then
      -- The window has changed: what both counters held counts as admitted in this one.
      at, here, there = number, here + there, 0
    end
    if at >= number then
      current, before = here, there
      if at > number then
        -- The clock was set back: what was admitted later than now was admitted now.
        count(current, before)
      end
    elseif at == number - 1 then
      before = here
    end
  end
  local admits = tokens <= limit - current and before * left <= (limit - current - tokens) * window
  return admits, current, before, left, function()
    count(current + tokens, before)
  end
end

local looks = { look_at_bucket, look_at_log, look_at_estimate }
local answer, commits, all = '', {}, true
for index = 1, #KEYS do
  local first = 3 + (index - 1) * 7
  local admits, one, two, three, commit = looks[arguments[first]](KEYS[index], unpack(arguments, first + 1, first + 6))
  all = all and admits
  commits[index] = commit
  answer = answer .. string.format(' %.0f %.0f %.0f', one, two, three)
end
if all and takes then
  for _, commit in ipairs(commits) do
    commit()
  end
end
return (all and '1' or '0') .. answer
